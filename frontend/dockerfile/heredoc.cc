// A head is a whole word of the form [digits]<<[-]NAME, NAME in quotes or not. Always
// with the backslash as escape, whatever the file says: so does the reference.
#include "frontend/dockerfile/heredoc.h"

#include <algorithm>

#include "base/strings.h"
#include "frontend/dockerfile/shell_word.h"

namespace kiln::dockerfile {

namespace {

size_t CountQuotes(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return c == '\'' || c == '"'; }));
}

// Splits "3<<-NAME"; false if the word has another form.
bool SplitHead(std::string_view word, Heredoc* heredoc, std::string_view* name) {
  const size_t digits = std::min(word.find_first_not_of("0123456789"), word.size());
  uint64_t descriptor = 0;
  if (digits > 0) ParseUint64(word.substr(0, digits), &descriptor);
  word.remove_prefix(digits);
  if (!word.starts_with("<<")) return false;
  word.remove_prefix(2);
  heredoc->file_descriptor = static_cast<unsigned>(descriptor);
  heredoc->chomp = word.starts_with('-');
  if (heredoc->chomp) word.remove_prefix(1);
  word.remove_prefix(std::min(word.find_first_not_of("\t\n\f\r "), word.size()));
  *name = word;
  return !word.empty() && word.find('<') == std::string_view::npos;
}

StatusOr<bool> ParseHead(std::string_view word, Heredoc* heredoc) {
  std::string_view name;
  if (!SplitHead(word, heredoc, &name)) return false;
  ShellLex lex{.skip_unset_env = true};
  ASSIGN_OR_RETURN(WordResult plain, lex.Process(name, ListEnv()));
  if (plain.words.size() != 1) return false;
  lex.raw_quotes = true;
  ASSIGN_OR_RETURN(WordResult raw, lex.Process(name, ListEnv()));
  if (raw.words.size() != 1) {
    return UnknownError(StrCat("internal lexing of heredoc produced inconsistent results: ", name));
  }
  heredoc->name = plain.words[0];
  // Quotes that vanished were quotes around part of the name.
  heredoc->expand = CountQuotes(plain.words[0]) == CountQuotes(raw.words[0]);
  return true;
}

}  // namespace

StatusOr<std::vector<Heredoc>> HeredocHeads(std::string_view line) {
  const ShellLex lex{.raw_quotes = true, .raw_escapes = true, .skip_unset_env = true};
  const StatusOr<WordResult> words = lex.Process(line, ListEnv());
  std::vector<Heredoc> heads;
  if (!words.ok()) return heads;
  for (const std::string& word : words->words) {
    Heredoc heredoc;
    ASSIGN_OR_RETURN(bool found, ParseHead(word, &heredoc));
    if (found) heads.push_back(std::move(heredoc));
  }
  return heads;
}

bool ParseHeredocHead(std::string_view word, Heredoc* heredoc) {
  *heredoc = {};
  const StatusOr<bool> found = ParseHead(word, heredoc);
  return found.ok() && *found;
}

std::string ChompHeredocContent(std::string_view content) {
  std::string out;
  bool at_start = true;
  for (char c : content) {
    if (at_start && c == '\t') continue;
    out += c;
    at_start = c == '\n';
  }
  return out;
}

}  // namespace kiln::dockerfile
