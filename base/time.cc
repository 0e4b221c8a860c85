#include "base/time.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>


namespace kiln {
namespace {

struct Split {
  int64_t seconds;
  int64_t nanos;
};

Split SplitTime(Time time) {
  int64_t seconds = time.nanos / 1'000'000'000;
  int64_t nanos = time.nanos % 1'000'000'000;
  if (nanos < 0) {
    nanos += 1'000'000'000;
    --seconds;
  }
  return {seconds, nanos};
}

std::string FormatSeconds(int64_t seconds) {
  std::time_t value = seconds;
  std::tm tm{};
  gmtime_r(&value, &tm);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
                tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
  return text;
}

}  // namespace

Time Now() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return Time{std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()};
}

std::string FormatRfc3339(Time time) { return FormatSeconds(SplitTime(time).seconds) + "Z"; }

std::string FormatRfc3339Nano(Time time) {
  Split split = SplitTime(time);
  std::string text = FormatSeconds(split.seconds);
  if (split.nanos != 0) {
    char digits[16];
    std::snprintf(digits, sizeof digits, ".%09lld", static_cast<long long>(split.nanos));
    std::string fraction = digits;
    fraction.erase(fraction.find_last_not_of('0') + 1);
    text += fraction;
  }
  return text + "Z";
}

StatusOr<Time> ParseRfc3339(std::string_view text) {
  Status bad = InvalidArgumentError(
      StrCat("parsing time \"", text, "\" as \"2006-01-02T15:04:05Z07:00\": cannot parse"));
  std::string copy(text);
  std::tm tm{};
  const char* rest = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &tm);
  if (rest == nullptr) {
    return bad;
  }
  int64_t nanos = timegm(&tm) * int64_t{1'000'000'000};
  if (*rest == '.') {
    int64_t unit = 100'000'000;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10) {
      nanos += (*rest - '0') * unit;
    }
  }
  if (std::string_view(rest) == "Z") {
    return Time{nanos};
  }
  int hours = 0;
  int minutes = 0;
  if (std::sscanf(rest, "%3d:%2d", &hours, &minutes) != 2 || (*rest != '+' && *rest != '-')) {
    return bad;
  }
  int64_t offset = (std::abs(hours) * 60 + minutes) * int64_t{60'000'000'000};
  return Time{*rest == '-' ? nanos + offset : nanos - offset};
}

}  // namespace kiln
