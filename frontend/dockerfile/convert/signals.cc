// Linux's names, real-time ones included.
#include "frontend/dockerfile/convert/signals.h"

#include <string>

#include "base/strings.h"

namespace kiln::dockerfile {
namespace {

bool IsRealTime(std::string_view name) {
  int64_t offset = 0;
  if (name == "RTMIN" || name == "RTMAX") return true;
  const std::string_view digits = name.substr(std::min<size_t>(6, name.size()));
  if (digits.empty() || digits[0] < '1' || digits[0] > '9') return false;
  if (!ParseInt64(digits, &offset)) return false;
  if (name.starts_with("RTMIN+")) return offset <= 15;
  return name.starts_with("RTMAX-") && offset <= 14;
}

}  // namespace

bool IsSignal(std::string_view text) {
  static constexpr std::string_view kNames[] = {
      "ABRT", "ALRM", "BUS",    "CHLD", "CLD", "CONT", "FPE",  "HUP",  "ILL",
      "INT",  "IO",   "IOT",    "KILL", "PIPE", "POLL", "PROF", "PWR",  "QUIT",
      "SEGV", "STKFLT", "STOP", "SYS",  "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
      "URG",  "USR1", "USR2",   "VTALRM", "WINCH", "XCPU", "XFSZ"};
  int64_t number = 0;
  if (ParseInt64(TrimPrefix(text, "+"), &number)) return number != 0;
  const std::string upper = ToUpper(text);
  const std::string_view name = TrimPrefix(upper, "SIG");
  for (std::string_view known : kNames) {
    if (name == known) return true;
  }
  return IsRealTime(name);
}

}  // namespace kiln::dockerfile
