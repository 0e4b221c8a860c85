#include "api/client/display/colors.h"

#include <cstdlib>
#include <map>

#include "base/log.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

const std::map<std::string, int, std::less<>>& Names() {
  static const std::map<std::string, int, std::less<>> names = {
      {"default", 39},      {"black", 30},         {"red", 31},           {"green", 32},
      {"yellow", 33},       {"blue", 34},          {"magenta", 35},       {"cyan", 36},
      {"white", 37},        {"light-black", 90},   {"light-red", 91},     {"light-green", 92},
      {"light-yellow", 93}, {"light-blue", 94},    {"light-magenta", 95}, {"light-cyan", 96},
      {"light-white", 97}};
  return names;
}

std::string Escape(std::string_view codes) { return StrCat("\x1b[", codes, "m"); }

// "r,g,b" → the nearest of the 256 colours; "" if it is none.
std::string Rgb(std::string_view text) {
  std::vector<std::string_view> parts = StrSplit(text, ',');
  if (parts.size() != 3) return {};
  int64_t index = 16;
  constexpr int kWeights[] = {36, 6, 1};
  for (size_t i = 0; i < 3; ++i) {
    int64_t value = 0;
    if (!ParseInt64(parts[i], &value) || value < 0 || value > 255) return {};
    index += value * 6 / 256 * kWeights[i];
  }
  return Escape(StrCat("38;5;", index));
}

}  // namespace

DisplayColors ParseColors(std::string_view colors, std::vector<std::string>* complaints) {
  DisplayColors result{Escape("34"), Escape("33"), Escape("33"), Escape("31")};
  for (std::string_view field : StrSplit(colors, ':')) {
    if (field.empty()) continue;
    std::string_view key;
    std::string_view value;
    if (!StrCut(field, "=", &key, &value) || Contains(value, "=")) {
      complaints->push_back(StrCat("Could not parse BUILDKIT_COLORS component: ", field));
      continue;
    }
    auto name = Names().find(ToLower(value));
    std::string color = name != Names().end() ? Escape(StrCat(name->second)) : Rgb(value);
    if (color.empty()) {
      complaints->push_back(
          StrCat("Unknown color value found in BUILDKIT_COLORS: ", key, "=", value));
      continue;
    }
    std::string lower = ToLower(key);
    if (lower == "run") {
      result.run = color;
    } else if (lower == "cancel") {
      result.cancelled = color;
    } else if (lower == "warning") {
      result.warning = color;
    } else if (lower == "error") {
      result.error = color;
    } else {
      complaints->push_back(
          StrCat("Unknown key found in BUILDKIT_COLORS (expected: run, cancel, error, or "
                 "warning): ",
                 lower));
    }
  }
  return result;
}

DisplayColors ColorsOfEnvironment() {
  const char* none = std::getenv("NO_COLOR");
  if (none != nullptr && *none != '\0') return {};
  const char* colors = std::getenv("BUILDKIT_COLORS");
  std::vector<std::string> complaints;
  DisplayColors result = ParseColors(colors == nullptr ? "" : colors, &complaints);
  for (const std::string& complaint : complaints) log::Warning(complaint);
  return result;
}

}  // namespace kiln::api
