// StrCat and the few string functions that C++20's library lacks.
#pragma once

#include <charconv>
#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace kiln {

namespace internal {
// One argument of StrCat as text; numbers are printed in decimal.
class Piece {
 public:
  Piece(std::string_view text) : text_(text) {}
  Piece(const std::string& text) : text_(text) {}
  Piece(const char* text) : text_(text) {}
  Piece(char c) : text_(buffer_, 1) { buffer_[0] = c; }
  Piece(bool) = delete;
  template <std::integral T>
    requires(!std::same_as<T, bool> && !std::same_as<T, char>)
  Piece(T number) {
    auto end = std::to_chars(buffer_, buffer_ + sizeof buffer_, number).ptr;
    text_ = std::string_view(buffer_, static_cast<size_t>(end - buffer_));
  }
  Piece(const Piece&) = delete;
  std::string_view text() const { return text_; }

 private:
  char buffer_[24];
  std::string_view text_;
};
std::string CatPieces(std::initializer_list<std::string_view> pieces);
}  // namespace internal

// Joins texts and integers into one string.
template <typename... Args>
std::string StrCat(const Args&... args) {
  return internal::CatPieces({internal::Piece(args).text()...});
}

// All parts, empty ones too; "" gives one empty part.
std::vector<std::string_view> StrSplit(std::string_view text, char separator);
std::vector<std::string_view> StrSplit(std::string_view text, std::string_view separator);
// At most `limit` parts, the last one holding the rest (Go's SplitN).
std::vector<std::string_view> StrSplitN(std::string_view text, char separator, size_t limit);
template <typename Range>
std::string StrJoin(const Range& range, std::string_view separator) {
  std::string out;
  bool first = true;
  for (const auto& part : range) {
    if (!first) out += separator;
    first = false;
    out += part;
  }
  return out;
}
// Text before and after the first `separator`; false (and before = text) if there is none.
bool StrCut(std::string_view text, std::string_view separator, std::string_view* before,
            std::string_view* after);
std::string_view TrimSpace(std::string_view text);  // ASCII white space
std::string_view TrimPrefix(std::string_view text, std::string_view prefix);
std::string_view TrimSuffix(std::string_view text, std::string_view suffix);
std::string ToLower(std::string_view text);  // ASCII
std::string ToUpper(std::string_view text);
std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);
inline bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}
// Go's %q: double quotes and escapes.
std::string Quote(std::string_view text);
// Decimal integer, whole text; false if it is none or does not fit.
bool ParseInt64(std::string_view text, int64_t* value);
bool ParseUint64(std::string_view text, uint64_t* value);
// Go's strconv.ParseBool: 1 t T TRUE true True 0 f F …
bool ParseBool(std::string_view text, bool* value);
std::string Base64Encode(std::string_view bytes);
bool Base64Decode(std::string_view text, std::string* bytes);

}  // namespace kiln
