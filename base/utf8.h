// Runes of UTF-8 texts, as Go's strings see them: a byte that is not UTF-8 counts
// as one U+FFFD. Only what parsers of foreign text need; no case mapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kiln {

inline constexpr char32_t kRuneError = 0xFFFD;

// The rune at the start of `text` (not empty) and its length in bytes; a bad
// sequence gives kRuneError and 1.
char32_t DecodeRune(std::string_view text, size_t* length);
void AppendRune(char32_t rune, std::string* out);
bool IsValidUtf8(std::string_view text);
// Each bad byte becomes U+FFFD.
std::string ToValidUtf8(std::string_view text);

// Go's unicode.IsSpace: white space of Unicode, NEL and NBSP included.
bool IsSpaceRune(char32_t rune);
bool IsLetterRune(char32_t rune);  // category L
bool IsDigitRune(char32_t rune);   // category Nd
// Whether Go's %q shows it as it is; runes that are not assigned count as shown.
bool IsPrintRune(char32_t rune);
// Go's strings.TrimSpace and its left half.
std::string_view TrimUnicodeSpace(std::string_view text);
std::string_view TrimLeftUnicodeSpace(std::string_view text);

}  // namespace kiln
