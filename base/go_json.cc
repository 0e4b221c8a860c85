// String escaping of Go's encoding/json with HTML escaping on (its default).
#include "base/go_json.h"

#include "base/utf8.h"

namespace kiln {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void AppendAscii(char c, std::string* out) {
  switch (c) {
    case '"':
    case '\\':
      *out += '\\';
      *out += c;
      return;
    case '\b':
      *out += "\\b";
      return;
    case '\f':
      *out += "\\f";
      return;
    case '\n':
      *out += "\\n";
      return;
    case '\r':
      *out += "\\r";
      return;
    case '\t':
      *out += "\\t";
      return;
    default:
      break;
  }
  if (c < 0x20 || c == '<' || c == '>' || c == '&') {
    *out += "\\u00";
    *out += kHex[(c >> 4) & 0xF];
    *out += kHex[c & 0xF];
    return;
  }
  *out += c;
}

}  // namespace

void AppendGoJsonString(std::string_view text, std::string* out) {
  *out += '"';
  while (!text.empty()) {
    size_t length = 0;
    const char32_t rune = DecodeRune(text, &length);
    if (rune == kRuneError && length == 1) {
      *out += "\\ufffd";
      text.remove_prefix(1);
      continue;
    }
    if (length == 1) {
      AppendAscii(text[0], out);
    } else if (rune == 0x2028) {
      *out += "\\u2028";
    } else if (rune == 0x2029) {
      *out += "\\u2029";
    } else {
      *out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  *out += '"';
}

std::string GoJsonString(std::string_view text) {
  std::string out;
  AppendGoJsonString(text, &out);
  return out;
}

std::string GoJsonArray(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out += ',';
    AppendGoJsonString(text, &out);
  }
  out += ']';
  return out;
}

std::string GoJsonIndent(std::string_view compact) {
  std::string out;
  size_t depth = 0;
  bool in_string = false;
  auto new_line = [&] {
    out += '\n';
    out.append(2 * depth, ' ');
  };
  for (size_t i = 0; i < compact.size(); ++i) {
    const char c = compact[i];
    if (in_string) {
      out += c;
      if (c == '\\' && i + 1 < compact.size()) out += compact[++i];
      if (c == '"') in_string = false;
      continue;
    }
    const char next = i + 1 < compact.size() ? compact[i + 1] : '\0';
    if ((c == '{' && next == '}') || (c == '[' && next == ']')) {
      out += c;
      out += next;
      ++i;
    } else if (c == '{' || c == '[') {
      out += c;
      ++depth;
      new_line();
    } else if (c == '}' || c == ']') {
      if (depth > 0) --depth;
      new_line();
      out += c;
    } else if (c == ',') {
      out += c;
      new_line();
    } else if (c == ':') {
      out += ": ";
    } else {
      in_string = c == '"';
      out += c;
    }
  }
  return out;
}

void GoJsonObject::Raw(std::string_view key, std::string_view json) {
  if (!empty()) text_ += ',';
  AppendGoJsonString(key, &text_);
  text_ += ':';
  text_ += json;
}

void GoJsonObject::OmitString(std::string_view key, std::string_view text) {
  if (!text.empty()) String(key, text);
}

void GoJsonObject::OmitInt(std::string_view key, int64_t number) {
  if (number != 0) Int(key, number);
}

void GoJsonObject::OmitBool(std::string_view key, bool value) {
  if (value) Bool(key, value);
}

void GoJsonObject::OmitArray(std::string_view key, const std::vector<std::string>& texts) {
  if (!texts.empty()) Raw(key, GoJsonArray(texts));
}

}  // namespace kiln
