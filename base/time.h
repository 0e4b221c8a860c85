// Points in time as nanoseconds since the Unix epoch, and their RFC 3339 text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln {

// Nanoseconds since 1970-01-01 UTC; may be negative. INT64_MIN stands for "no time".
struct Time {
  int64_t nanos = kNone;
  static constexpr int64_t kNone = INT64_MIN;
  static Time FromSeconds(int64_t seconds) { return Time{seconds * 1'000'000'000}; }
  bool set() const { return nanos != kNone; }
  auto operator<=>(const Time&) const = default;
};

Time Now();
// "2006-01-02T15:04:05Z": seconds only, UTC.
std::string FormatRfc3339(Time time);
// As Go marshals a time in JSON: nanoseconds without trailing zeros, UTC.
std::string FormatRfc3339Nano(Time time);
StatusOr<Time> ParseRfc3339(std::string_view text);

}  // namespace kiln
