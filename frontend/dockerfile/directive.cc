// Directives, and the search for the one that names the syntax.
#include "frontend/dockerfile/directive.h"

#include <cctype>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "base/utf8.h"
#include "frontend/dockerfile/ast.h"

namespace kiln::dockerfile {

namespace {

constexpr size_t kMaxLine = 64 * 1024;

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r'; }

std::string_view TrimBlanks(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

// "key = value" with a key of letters and digits and a value that is not empty.
bool SplitKeyValue(std::string_view line, std::string* key, std::string* value) {
  size_t end = 0;
  while (end < line.size() && std::isalnum(static_cast<unsigned char>(line[end])) != 0) ++end;
  if (end == 0 || std::isdigit(static_cast<unsigned char>(line[0])) != 0) return false;
  size_t equals = end;
  while (equals < line.size() && IsBlank(line[equals])) ++equals;
  if (equals == line.size() || line[equals] != '=') return false;
  *value = TrimBlanks(line.substr(equals + 1));
  *key = ToLower(line.substr(0, end));
  return !value->empty() && value->find('\n') == std::string::npos;
}

bool FindMarked(std::string_view mark, std::string_view key, std::string_view text, int first_line,
                Directive* found) {
  DirectiveReader reader(mark);
  int line = first_line;
  for (std::string_view raw : StrSplit(text, '\n')) {
    if (raw.size() >= kMaxLine) return false;
    ++line;
    std::string name;
    std::string value;
    const StatusOr<bool> read = reader.Read(TrimSuffix(raw, "\r"), &name, &value);
    if (!read.ok() || reader.done()) return false;
    if (!*read || name != key) continue;
    found->full = value;
    found->value = value.substr(0, value.find(' '));
    found->location = LineRanges(line, 0);
    return true;
  }
  return false;
}

// Text without the byte order mark and a "#!" line; the number of lines cut off.
std::string_view WithoutShebang(std::string_view text, int* lines) {
  text = TrimPrefix(text, "\xEF\xBB\xBF");
  *lines = text.starts_with("#!") ? 1 : 0;
  if (*lines == 0) return text;
  const size_t end = text.find('\n');
  return end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
}

bool FindInJson(std::string_view text, int line, Directive* found) {
  const std::string_view start = TrimBlanks(text);
  if (!start.starts_with('{') || !start.ends_with('}')) return false;
  const auto value = nlohmann::json::parse(start, nullptr, /*allow_exceptions=*/false);
  const auto syntax = value.is_object() ? value.find("syntax") : value.end();
  if (!value.is_object() || syntax == value.end() || !syntax->is_string()) return false;
  found->value = found->full = syntax->get<std::string>();
  found->location = LineRanges(line, 0);
  return true;
}

}  // namespace

StatusOr<bool> DirectiveReader::Read(std::string_view line, std::string* key, std::string* value) {
  if (done_) return false;
  const bool marked = line.starts_with(mark_);
  const std::string_view rest = marked ? TrimLeftUnicodeSpace(line.substr(mark_.size())) : line;
  if (!marked || !SplitKeyValue(rest, key, value) ||
      (*key != "syntax" && *key != "escape" && *key != "check")) {
    done_ = true;
    return false;
  }
  if (!seen_.insert(*key).second) {
    return UnknownError(StrCat("only one ", *key, " parser directive can be used"));
  }
  return true;
}

bool FindDirective(std::string_view key, std::string_view text, Directive* found) {
  int lines = 0;
  text = WithoutShebang(text, &lines);
  return FindMarked("#", key, text, lines, found);
}

bool DetectSyntax(std::string_view text, Directive* found) {
  int lines = 0;
  text = WithoutShebang(text, &lines);
  return FindMarked("#", "syntax", text, lines, found) ||
         FindMarked("//", "syntax", text, lines, found) || FindInJson(text, lines, found);
}

bool CheckComment(std::string_view comment, std::string* value) {
  std::string key;
  const StatusOr<bool> read = DirectiveReader("").Read(comment, &key, value);
  if (!read.ok() || !*read || key != "check") return false;
  value->resize(std::min(value->find(' '), value->size()));
  return true;
}

}  // namespace kiln::dockerfile
