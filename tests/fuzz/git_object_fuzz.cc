// Git objects and armored keys as signatures see them: no crash, no read outside.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/source/signature/git_object.h"
#include "worker/source/signature/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  kiln::worker::ParseSignedObject(text).status().IgnoreError();
  kiln::worker::DearmorKeys(text).status().IgnoreError();
  return 0;
}
