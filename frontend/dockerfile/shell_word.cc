// Plain words, which most are, need no parser; all others are the grammar's.
#include "frontend/dockerfile/shell_word.h"

#include "base/strings.h"
#include "frontend/dockerfile/word_expansion.h"

namespace kiln::dockerfile {

ListEnv::ListEnv(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    std::string_view key;
    std::string_view value;
    StrCut(text, "=", &key, &value);
    keys_.emplace_back(key);
    values_[std::string(key)] = value;
  }
}

std::optional<std::string> ListEnv::Get(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

namespace {

// ASCII text in which nothing has a meaning but blanks.
bool IsPlain(std::string_view text, char escape) {
  for (const char c : text) {
    if (c == '$' || c == '\'' || c == '"' || c == '<' || c == escape || (c & 0x80) != 0) {
      return false;
    }
  }
  return true;
}

WordResult PlainWord(std::string_view text) {
  constexpr std::string_view kBlanks = "\t\n\v\f\r ";
  WordResult result;
  result.word = text;
  for (size_t start = 0; (start = text.find_first_not_of(kBlanks, start)) != text.npos;) {
    const size_t end = std::min(text.find_first_of(kBlanks, start), text.size());
    result.words.emplace_back(text.substr(start, end - start));
    start = end;
  }
  return result;
}

}  // namespace

StatusOr<WordResult> ShellLex::Process(std::string_view word, const Env& env) const {
  if (IsPlain(word, escape)) return PlainWord(word);
  StatusOr<WordResult> result = ExpandWord(*this, word, env);
  if (result.ok()) return result;
  return Annotate(result.status(), StrCat("failed to process ", Quote(word)));
}

}  // namespace kiln::dockerfile
