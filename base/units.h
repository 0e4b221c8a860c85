// Durations and sizes as Go and docker write them: "1h30m", "512MB", "64Ki".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln {

// Go's time.ParseDuration, in nanoseconds. UNKNOWN `time: invalid duration "x"` …
StatusOr<int64_t> ParseDuration(std::string_view text);
// Go's Duration.String: "1h30m0s", "1.5s", "0s".
std::string FormatDuration(int64_t nanos);

// docker's sizes: a number and an optional unit, in steps of 1024 ("ram") or of
// 1000 ("human"). UNKNOWN "invalid size: 'x'" and the like.
StatusOr<int64_t> ParseRamSize(std::string_view text);
StatusOr<int64_t> ParseHumanSize(std::string_view text);

}  // namespace kiln
