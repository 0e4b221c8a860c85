// nlohmann's parser behind a repair of what Go lets pass.
#include "frontend/dockerfile/json_array.h"

#include <cctype>
#include <nlohmann/json.hpp>

#include "base/utf8.h"

namespace kiln::dockerfile {

namespace {

// Go refuses what nests deeper.
constexpr int kMaxDepth = 10000;

// The code unit of "\uXXXX" at `at`, or -1.
int UnitAt(const std::string& text, size_t at) {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return -1;
  int unit = 0;
  for (size_t i = at + 2; i < at + 6; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (std::isxdigit(c) == 0) return -1;
    unit = unit * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return unit;
}

bool IsHigh(int unit) { return unit >= 0xD800 && unit <= 0xDBFF; }
bool IsLow(int unit) { return unit >= 0xDC00 && unit <= 0xDFFF; }

// Halves of surrogate pairs that stand alone become \uFFFD.
std::string RepairSurrogates(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') continue;
    const int unit = UnitAt(text, i);
    if (IsHigh(unit) && IsLow(UnitAt(text, i + 6))) {
      i += 11;
    } else if (IsHigh(unit) || IsLow(unit)) {
      text.replace(i, 6, "\\uFFFD");
      i += 5;
    } else {
      ++i;
    }
  }
  return text;
}

}  // namespace

JsonArray ReadJsonArray(std::string_view text, std::vector<std::string>* strings) {
  using nlohmann::json;
  const std::string repaired = RepairSurrogates(ToValidUtf8(text));
  bool too_deep = false;
  const json value = json::parse(
      repaired,
      [&](int depth, json::parse_event_t, json&) {
        too_deep = too_deep || depth > kMaxDepth;
        return !too_deep;
      },
      /*allow_exceptions=*/false);
  if (too_deep || !value.is_array()) return JsonArray::kNone;
  for (const json& item : value) {
    if (!item.is_string()) return JsonArray::kMixed;
    strings->push_back(item.get<std::string>());
  }
  return JsonArray::kStrings;
}

}  // namespace kiln::dockerfile
