// Unquoting of single words; where they end is the grammar's business.
#include "frontend/dockerfile/word_text.h"

#include "base/utf8.h"

namespace kiln::dockerfile {

std::string FlagText(std::string_view word, char escape) {
  std::string out;
  char quote = '\0';
  for (size_t i = 0; i < word.size(); ++i) {
    char c = word[i];
    if (quote == '\0' && (c == '"' || c == '\'')) {
      quote = c;
      continue;
    }
    if (c == quote && quote != '\0') {
      quote = '\0';
      continue;
    }
    if (c == escape) {
      if (++i == word.size()) break;
      c = word[i];
    }
    AppendRune(static_cast<unsigned char>(c), &out);
  }
  return out;
}

namespace {

// Whether the word ends with an escape that protects nothing.
bool EndsWithLooseEscape(std::string_view word, char escape) {
  char quote = '\0';
  for (size_t i = 0; i < word.size(); ++i) {
    const char c = word[i];
    if (quote == '\0' && (c == '"' || c == '\'')) {
      quote = c;
    } else if (quote != '\0' && c == quote) {
      quote = '\0';
    } else if (c == escape && quote != '\'') {
      if (++i == word.size()) return true;
    }
  }
  return false;
}

}  // namespace

std::string QuotedWordText(std::string_view word, char escape, bool last) {
  if (last && EndsWithLooseEscape(word, escape)) word.remove_suffix(1);
  return IsValidUtf8(word) ? std::string(word) : ToValidUtf8(word);
}

std::vector<std::string> SplitBlanks(std::string_view text) {
  constexpr std::string_view kBlanks = "\t\v\f\r ";
  std::vector<std::string> words;
  size_t at = 0;
  while ((at = text.find_first_not_of(kBlanks, at)) != std::string_view::npos) {
    const size_t end = text.find_first_of(kBlanks, at);
    words.emplace_back(text.substr(at, end - at));
    if (end == std::string_view::npos) break;
    at = end;
  }
  return words;
}

}  // namespace kiln::dockerfile
