// Decoding is by hand since bad bytes must count as Go counts them; categories
// come from RE2's tables.
#include "base/utf8.h"

#include <re2/re2.h>

namespace kiln {

namespace {

bool InClass(const re2::RE2& pattern, char32_t rune) {
  std::string text;
  AppendRune(rune, &text);
  return re2::RE2::FullMatch(text, pattern);
}

bool IsContinuation(std::string_view text, size_t at) {
  return at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80;
}

char32_t Bits(std::string_view text, size_t at) { return static_cast<uint8_t>(text[at]) & 0x3F; }

// Length that the first byte announces; 0 if it cannot be a first byte.
size_t AnnouncedLength(uint8_t first) {
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

}  // namespace

char32_t DecodeRune(std::string_view text, size_t* length) {
  const auto first = static_cast<uint8_t>(text[0]);
  const size_t want = AnnouncedLength(first);
  *length = 1;
  if (want == 1) return first;
  for (size_t i = 1; i < want; ++i) {
    if (!IsContinuation(text, i)) return kRuneError;
  }
  char32_t rune = kRuneError;
  if (want == 2) rune = (first & 0x1Fu) << 6 | Bits(text, 1);
  if (want == 3) rune = (first & 0x0Fu) << 12 | Bits(text, 1) << 6 | Bits(text, 2);
  if (want == 4) {
    rune = (first & 0x07u) << 18 | Bits(text, 1) << 12 | Bits(text, 2) << 6 | Bits(text, 3);
  }
  const bool overlong = (want == 3 && rune < 0x800) || (want == 4 && rune < 0x10000);
  if (want == 0 || overlong || rune > 0x10FFFF || (rune >= 0xD800 && rune <= 0xDFFF)) {
    return kRuneError;
  }
  *length = want;
  return rune;
}

void AppendRune(char32_t rune, std::string* out) {
  if (rune > 0x10FFFF || (rune >= 0xD800 && rune <= 0xDFFF)) rune = kRuneError;
  auto push = [out](char32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (rune < 0x80) {
    push(rune);
  } else if (rune < 0x800) {
    push(0xC0 | rune >> 6);
    push(0x80 | (rune & 0x3F));
  } else if (rune < 0x10000) {
    push(0xE0 | rune >> 12);
    push(0x80 | (rune >> 6 & 0x3F));
    push(0x80 | (rune & 0x3F));
  } else {
    push(0xF0 | rune >> 18);
    push(0x80 | (rune >> 12 & 0x3F));
    push(0x80 | (rune >> 6 & 0x3F));
    push(0x80 | (rune & 0x3F));
  }
}

bool IsValidUtf8(std::string_view text) {
  for (size_t i = 0, length = 0; i < text.size(); i += length) {
    if (DecodeRune(text.substr(i), &length) == kRuneError && length == 1) return false;
  }
  return true;
}

std::string ToValidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0, length = 0; i < text.size(); i += length) {
    AppendRune(DecodeRune(text.substr(i), &length), &out);
  }
  return out;
}

bool IsSpaceRune(char32_t rune) {
  if (rune < 0x100) {
    return (rune >= '\t' && rune <= '\r') || rune == ' ' || rune == 0x85 || rune == 0xA0;
  }
  return rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200A) || rune == 0x2028 || rune == 0x2029 ||
         rune == 0x202F || rune == 0x205F || rune == 0x3000;
}

bool IsLetterRune(char32_t rune) {
  if (rune < 0x80) return (rune | 0x20) >= 'a' && (rune | 0x20) <= 'z';
  static const re2::RE2 letters("\\p{L}");
  return InClass(letters, rune);
}

bool IsDigitRune(char32_t rune) {
  if (rune < 0x80) return rune >= '0' && rune <= '9';
  static const re2::RE2 digits("\\p{Nd}");
  return InClass(digits, rune);
}

bool IsPrintRune(char32_t rune) {
  if (rune < 0x7F) return rune >= ' ';
  if (rune <= 0xA0 || rune == 0xAD || IsSpaceRune(rune)) return false;
  if ((rune & 0xFFFE) == 0xFFFE || (rune >= 0xFDD0 && rune <= 0xFDEF)) return false;
  static const re2::RE2 invisible("[\\p{Cf}\\p{Co}]");
  return !InClass(invisible, rune);
}

std::string_view TrimLeftUnicodeSpace(std::string_view text) {
  size_t length = 0;
  while (!text.empty() && IsSpaceRune(DecodeRune(text, &length))) text.remove_prefix(length);
  return text;
}

std::string_view TrimUnicodeSpace(std::string_view text) {
  text = TrimLeftUnicodeSpace(text);
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && text.size() - start < 4 && IsContinuation(text, start)) --start;
    size_t length = 0;
    const char32_t rune = DecodeRune(text.substr(start), &length);
    if (start + length != text.size() || !IsSpaceRune(rune)) break;
    text.remove_suffix(length);
  }
  return text;
}

}  // namespace kiln
