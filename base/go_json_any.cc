// Foreign JSON as Go's encoding/json writes it again.
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/go_json.h"
#include "base/strings.h"

namespace kiln {
namespace {

using Json = nlohmann::json;

// float64 in Go's form: shortest digits, plain between 1e-6 and 1e21.
std::string GoNumber(double number) {
  char text[64];
  double size = number < 0 ? -number : number;
  bool plain = size == 0 || (size >= 1e-6 && size < 1e21);
  auto end = std::to_chars(text, text + sizeof text, number, std::chars_format::scientific).ptr;
  std::string digits;
  int exponent = 0;
  bool negative = false;
  for (char* at = text; at != end; ++at) {
    if (*at == '-') negative = true;
    if (*at >= '0' && *at <= '9') digits += *at;
    if (*at == 'e') {
      const char* from = at[1] == '+' ? at + 2 : at + 1;
      std::from_chars(from, end, exponent);
      break;
    }
  }
  std::string out = negative ? "-" : "";
  if (!plain) {
    out += digits.substr(0, 1);
    if (digits.size() > 1) out += "." + digits.substr(1);
    return StrCat(out, exponent < 0 ? "e-" : "e+", exponent < 0 ? -exponent : exponent);
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0');
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

void Write(const Json& value, std::string* out) {
  if (value.is_object()) {
    *out += '{';
    bool first = true;
    for (const auto& [key, member] : value.items()) {
      if (!first) *out += ',';
      first = false;
      AppendGoJsonString(key, out);
      *out += ':';
      Write(member, out);
    }
    *out += '}';
  } else if (value.is_array()) {
    *out += '[';
    for (size_t i = 0; i < value.size(); ++i) {
      if (i > 0) *out += ',';
      Write(value[i], out);
    }
    *out += ']';
  } else if (value.is_string()) {
    AppendGoJsonString(value.get_ref<const std::string&>(), out);
  } else if (value.is_number()) {
    *out += GoNumber(value.get<double>());
  } else {
    *out += value.dump();
  }
}

Status NotJson() { return InvalidArgumentError("invalid JSON"); }

}  // namespace

StatusOr<std::string> GoJsonCompact(std::string_view text) {
  if (text.empty()) return std::string("null");
  if (!Json::accept(text)) return NotJson();
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (!in_string && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) continue;
    if (c == '"') in_string = !in_string;
    if (c == '\\') {
      out += c;
      out += text[++i];  // accepted, so there is one
    } else if (c == '<') {
      out += "\\u003c";
    } else if (c == '>') {
      out += "\\u003e";
    } else if (c == '&') {
      out += "\\u0026";
    } else if (c == '\xe2' && (text.substr(i, 3) == "\xe2\x80\xa8" ||
                               text.substr(i, 3) == "\xe2\x80\xa9")) {
      out += text[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += c;
    }
  }
  return out;
}

StatusOr<std::string> GoJsonSorted(std::string_view text) {
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return NotJson();
  std::string out;
  Write(value, &out);
  return out;
}

}  // namespace kiln
