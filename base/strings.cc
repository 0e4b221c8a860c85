#include "base/strings.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdio>

#include "base/utf8.h"

namespace kiln {
namespace internal {
std::string CatPieces(std::initializer_list<std::string_view> pieces) {
  size_t size = 0;
  for (std::string_view piece : pieces) size += piece.size();
  std::string out;
  out.reserve(size);
  for (std::string_view piece : pieces) out += piece;
  return out;
}
}  // namespace internal

std::vector<std::string_view> StrSplit(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  for (size_t at; (at = text.find(separator)) != std::string_view::npos;) {
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> StrSplit(std::string_view text, char separator) {
  return StrSplit(text, std::string_view(&separator, 1));
}

std::vector<std::string_view> StrSplitN(std::string_view text, char separator, size_t limit) {
  std::vector<std::string_view> parts;
  for (size_t at; parts.size() + 1 < limit && (at = text.find(separator)) != std::string_view::npos;) {
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + 1);
  }
  parts.push_back(text);
  return parts;
}

bool StrCut(std::string_view text, std::string_view separator, std::string_view* before,
            std::string_view* after) {
  size_t at = text.find(separator);
  if (at == std::string_view::npos) {
    *before = text;
    *after = {};
    return false;
  }
  std::string_view head = text.substr(0, at);
  *after = text.substr(at + separator.size());
  *before = head;
  return true;
}

std::string_view TrimSpace(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string_view TrimPrefix(std::string_view text, std::string_view prefix) {
  if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  return text;
}

std::string_view TrimSuffix(std::string_view text, std::string_view suffix) {
  if (text.ends_with(suffix)) text.remove_suffix(suffix.size());
  return text;
}

std::string ToLower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string ToUpper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (size_t at; !from.empty() && (at = text.find(from)) != std::string_view::npos;) {
    out += text.substr(0, at);
    out += to;
    text.remove_prefix(at + from.size());
  }
  out += text;
  return out;
}

namespace {

void AppendQuotedRune(char32_t rune, std::string* out) {
  constexpr std::string_view kNamed = "\a\b\f\n\r\t\v\"\\";
  constexpr std::string_view kNames = "abfnrtv\"\\";
  const size_t named = rune < 0x80 ? kNamed.find(static_cast<char>(rune)) : std::string_view::npos;
  if (named != std::string_view::npos) {
    *out += {'\\', kNames[named]};
  } else if (IsPrintRune(rune)) {
    AppendRune(rune, out);
  } else {
    char hex[16];
    const char* format = rune < 0x80 ? "\\x%02x" : rune < 0x10000 ? "\\u%04x" : "\\U%08x";
    std::snprintf(hex, sizeof hex, format, static_cast<unsigned>(rune));
    *out += hex;
  }
}

}  // namespace

std::string Quote(std::string_view text) {
  std::string out = "\"";
  for (size_t i = 0, length = 0; i < text.size(); i += length) {
    const char32_t rune = DecodeRune(text.substr(i), &length);
    if (rune == kRuneError && length == 1) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned char>(text[i]));
      out += hex;
    } else {
      AppendQuotedRune(rune, &out);
    }
  }
  return out + "\"";
}

bool ParseInt64(std::string_view text, int64_t* value) {
  if (text.starts_with("+")) text.remove_prefix(1);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

bool ParseUint64(std::string_view text, uint64_t* value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

bool ParseBool(std::string_view text, bool* value) {
  constexpr std::string_view kTrue[] = {"1", "t", "T", "TRUE", "true", "True"};
  constexpr std::string_view kFalse[] = {"0", "f", "F", "FALSE", "false", "False"};
  if (std::find(std::begin(kTrue), std::end(kTrue), text) != std::end(kTrue)) {
    *value = true;
    return true;
  }
  *value = false;
  return std::find(std::begin(kFalse), std::end(kFalse), text) != std::end(kFalse);
}

std::string Base64Encode(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                             reinterpret_cast<const unsigned char*>(bytes.data()),
                             static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

bool Base64Decode(std::string_view text, std::string* bytes) {
  if (text.size() % 4 != 0) return false;
  bytes->assign(text.size() / 4 * 3 + 1, '\0');
  int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes->data()),
                             reinterpret_cast<const unsigned char*>(text.data()),
                             static_cast<int>(text.size()));
  if (size < 0) return false;
  size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  bytes->resize(static_cast<size_t>(size) - padding);
  return true;
}

}  // namespace kiln
