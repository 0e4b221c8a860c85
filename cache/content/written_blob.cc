#include "cache/content/written_blob.h"

#include "base/strings.h"

namespace kiln::cache {

Status CheckWritten(const oci::Descriptor& expected, const oci::Descriptor& written) {
  if (expected.size >= 0 && expected.size != written.size &&
      !(expected.size == 0 && expected.digest.empty())) {
    return DataLossError(StrCat("unexpected commit size ", written.size, ", expected ",
                                expected.size, ": failed precondition"));
  }
  if (!expected.digest.empty() && expected.digest != written.digest) {
    return DataLossError(StrCat("unexpected commit digest ", written.digest.text(), ", expected ",
                                expected.digest.text(), ": failed precondition"));
  }
  return OkStatus();
}

}  // namespace kiln::cache
