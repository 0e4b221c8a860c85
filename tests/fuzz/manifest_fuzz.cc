// Any bytes as manifest and index: what parses must survive being written and read again.
#include <cstdint>
#include <cstdlib>

#include "oci/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(bytes), size);
  auto manifest = kiln::oci::ParseManifest(input);
  if (manifest.ok() && !kiln::oci::ParseManifest(kiln::oci::ManifestJson(*manifest)).ok()) {
    std::abort();
  }
  auto index = kiln::oci::ParseIndex(input);
  if (index.ok() && !kiln::oci::ParseIndex(kiln::oci::IndexJson(*index)).ok()) std::abort();
  kiln::oci::MediaTypeOf(input);
  return 0;
}
