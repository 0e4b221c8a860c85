// Any text as a filter expression: parsed, and matched against a few fields.
#include <cstdint>
#include <string>

#include "base/filter.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  std::string text(reinterpret_cast<const char*>(bytes), size);
  kiln::StatusOr<kiln::Filter> filter = kiln::Filter::ParseAll({text});
  if (filter.ok()) {
    filter->Match([](std::span<const std::string> path) {
      return path[0].size() % 2 == 0 ? std::optional<std::string>(path[0]) : std::nullopt;
    });
  }
  return 0;
}
