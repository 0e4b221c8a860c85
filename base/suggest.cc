// Levenshtein's distance over runes, one row at a time.
#include "base/suggest.h"

#include <algorithm>

#include "base/strings.h"
#include "base/utf8.h"

namespace kiln {

namespace {

std::u32string Runes(std::string_view text) {
  std::u32string runes;
  for (size_t i = 0, length = 0; i < text.size(); i += length) {
    runes += DecodeRune(text.substr(i), &length);
  }
  return runes;
}

constexpr size_t kLimit = 3;

// The distance, or something not below kLimit.
size_t Distance(const std::u32string& a, const std::u32string& b) {
  if (a.size() >= b.size() + kLimit || b.size() >= a.size() + kLimit) return kLimit;
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above + 1, row[j - 1] + 1, change});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string InCaseOf(std::string option, std::string_view word) {
  // Go's case mapping turns bad bytes into U+FFFD, so such a word has no case.
  if (!IsValidUtf8(word)) return option;
  if (word == ToLower(word)) return ToLower(option);
  if (word == ToUpper(word)) return ToUpper(option);
  return option;
}

}  // namespace

std::string Suggest(std::string_view word, const std::vector<std::string>& options,
                    bool case_sensitive) {
  auto folded = [&](std::string_view text) {
    return case_sensitive ? std::string(text) : ToLower(text);
  };
  const std::u32string wanted = Runes(folded(word));
  std::string best;
  size_t nearest = kLimit;
  for (const std::string& option : options) {
    const std::string known = folded(option);
    const std::u32string runes = Runes(known);
    if (runes == wanted) return "";
    const size_t distance = Distance(wanted, runes);
    if (distance < nearest) {
      nearest = distance;
      best = case_sensitive ? known : InCaseOf(known, word);
    }
  }
  return best;
}

Status WithSuggestion(const Status& error, std::string_view word,
                      const std::vector<std::string>& options, bool case_sensitive) {
  const std::string match = Suggest(word, options, case_sensitive);
  if (error.ok() || match.empty()) return error;
  Status out(error.code(), StrCat(error.message(), " (did you mean ", match, "?)"));
  for (const StatusDetail& detail : error.details()) out.AddDetail(detail.type_url, detail.bytes);
  return out;
}

}  // namespace kiln
