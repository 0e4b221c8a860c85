// Any bytes as a CDI file: an error or a checked spec, never a crash.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/cdi/cdi_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kiln::worker::cdi::ParseCdiSpec({reinterpret_cast<const char*>(data), size}, "f.yaml")
      .status()
      .IgnoreError();
  return 0;
}
