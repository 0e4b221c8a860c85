// SPDX documents are written by whatever image a build names as its scanner.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/exporter/spdx.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto layer_of = [](const std::string&) -> kiln::StatusOr<std::optional<std::string>> {
    return std::optional<std::string>("sha256:00");
  };
  (void)kiln::worker::SupplementSpdx(text, "tool", layer_of);
  return 0;
}
