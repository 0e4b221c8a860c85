// Numbers with units.
#include "base/units.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "base/strings.h"

namespace kiln {

namespace {

__extension__ using Wide = unsigned __int128;
constexpr int64_t kSecond = 1'000'000'000;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

int64_t UnitOf(std::string_view unit) {
  if (unit == "ns") return 1;
  if (unit == "us" || unit == "\xC2\xB5s" || unit == "\xCE\xBCs") return 1'000;
  if (unit == "ms") return 1'000'000;
  if (unit == "s") return kSecond;
  if (unit == "m") return 60 * kSecond;
  if (unit == "h") return 3600 * kSecond;
  return 0;
}

// Cuts one "12.5h" off and adds it. False if it is malformed or too large.
bool TakePart(std::string_view* rest, Wide* total, std::string_view* unit) {
  Wide whole = 0;
  Wide fraction = 0;
  Wide scale = 1;
  bool digits = false;
  auto take_digit = [&] {
    const auto digit = static_cast<unsigned>(rest->front() - '0');
    rest->remove_prefix(1);
    digits = true;
    return digit;
  };
  while (!rest->empty() && IsDigit(rest->front())) {
    whole = whole * 10 + take_digit();
    if (whole > (1ull << 63)) return false;
  }
  if (rest->starts_with('.')) {
    rest->remove_prefix(1);
    while (!rest->empty() && IsDigit(rest->front())) {
      const unsigned digit = take_digit();
      if (scale > 1'000'000'000'000'000'000ull) continue;  // beyond any unit's precision
      fraction = fraction * 10 + digit;
      scale *= 10;
    }
  }
  if (!digits) return false;
  const size_t end = std::min(rest->find_first_of(".0123456789"), rest->size());
  *unit = rest->substr(0, end);
  rest->remove_prefix(end);
  const auto size = static_cast<uint64_t>(UnitOf(*unit));
  *total += whole * size + fraction * size / scale;
  return *total <= (1ull << 63);
}

StatusOr<int64_t> ParseSize(std::string_view text, double step) {
  const size_t last = text.find_last_of("01234567890. ");
  if (last == std::string_view::npos) {
    return UnknownError(StrCat("invalid size: '", text, "'"));
  }
  const std::string number(text.substr(0, text[last] == ' ' ? last : last + 1));
  const std::string unit = ToLower(text.substr(last + 1));
  char* end = nullptr;
  double size = std::strtod(number.c_str(), &end);
  if (number.empty() || *end != '\0' || std::isspace(static_cast<unsigned char>(number[0]))) {
    return UnknownError(StrCat("strconv.ParseFloat: parsing ", Quote(number), ": invalid syntax"));
  }
  if (size < 0) return UnknownError(StrCat("invalid size: '", text, "'"));
  if (!unit.empty() && unit != "b") {
    const size_t power = std::string_view("kmgtp").find(unit[0]);
    const std::string_view rest = std::string_view(unit).substr(1);
    if (power == std::string_view::npos || !(rest.empty() || rest == "b" || rest == "ib")) {
      return UnknownError(StrCat("invalid suffix: '", unit, "'"));
    }
    size *= std::pow(step, static_cast<double>(power) + 1);
  }
  // Go's conversion of what does not fit gives the smallest number.
  if (!(size < 9.2e18)) return INT64_MIN;
  return static_cast<int64_t>(size);
}

}  // namespace

StatusOr<int64_t> ParseDuration(std::string_view text) {
  const Status invalid = UnknownError(StrCat("time: invalid duration ", Quote(text)));
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return 0;
  if (rest.empty()) return invalid;
  Wide total = 0;
  while (!rest.empty()) {
    std::string_view unit;
    if (!TakePart(&rest, &total, &unit)) return invalid;
    if (unit.empty()) {
      return UnknownError(StrCat("time: missing unit in duration ", Quote(text)));
    }
    if (UnitOf(unit) == 0) {
      return UnknownError(StrCat("time: unknown unit ", Quote(unit), " in duration ", Quote(text)));
    }
  }
  const auto nanos = static_cast<uint64_t>(total);
  if (negative) return static_cast<int64_t>(~nanos + 1);
  if (nanos > INT64_MAX) return invalid;
  return static_cast<int64_t>(nanos);
}

namespace {

// "1.5" of a value in parts of `unit`, without trailing zeros.
std::string Decimal(uint64_t value, uint64_t unit) {
  std::string text = StrCat(value / unit);
  std::string fraction = StrCat(unit + value % unit).substr(1);
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  return fraction.empty() ? text : StrCat(text, ".", fraction);
}

}  // namespace

std::string FormatDuration(int64_t nanos) {
  const std::string sign = nanos < 0 ? "-" : "";
  const uint64_t value = nanos < 0 ? ~static_cast<uint64_t>(nanos) + 1 : nanos;
  if (value == 0) return "0s";
  if (value < 1'000) return StrCat(sign, value, "ns");
  if (value < 1'000'000) return StrCat(sign, Decimal(value, 1'000), "\xC2\xB5s");
  if (value < 1'000'000'000) return StrCat(sign, Decimal(value, 1'000'000), "ms");
  const uint64_t minutes = value / kSecond / 60;
  const std::string seconds = Decimal(value - minutes * 60 * kSecond, kSecond) + "s";
  if (minutes == 0) return sign + seconds;
  if (minutes < 60) return StrCat(sign, minutes, "m", seconds);
  return StrCat(sign, minutes / 60, "h", minutes % 60, "m", seconds);
}

StatusOr<int64_t> ParseRamSize(std::string_view text) { return ParseSize(text, 1024); }
StatusOr<int64_t> ParseHumanSize(std::string_view text) { return ParseSize(text, 1000); }

}  // namespace kiln
