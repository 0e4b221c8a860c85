// The Dockerfile as lines: which instructions stand where, with which flags and
// words. Nothing is checked here beyond what is needed to cut lines into words;
// meaning comes with instruction.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "frontend/dockerfile/source_range.h"

namespace kiln::dockerfile {

struct Heredoc {
  std::string name;
  unsigned file_descriptor = 0;
  bool expand = true;  // no part of the name was quoted
  bool chomp = false;  // <<-: leading tabs of the body go
  std::string content;
};

// One instruction. Plain data; safe to read on every thread.
struct Node {
  std::string keyword;             // as written
  std::vector<std::string> flags;  // "--name=value", quotes and escapes removed
  // Words of the instruction. ENV and LABEL give three for each pair (name,
  // value, "=" or "" for the old form); ONBUILD starts with the inner keyword.
  std::vector<std::string> args;
  bool json = false;  // the words came from a JSON array
  std::vector<Heredoc> heredocs;
  std::string original;  // the logical line, without heredoc bodies
  int start_line = 0;
  int end_line = 0;
  std::vector<std::string> comments;  // lines of the comment block right above
  std::vector<Range> Location() const { return LineRanges(start_line, end_line); }
};

struct ParseWarning {
  std::string short_text;
  std::vector<std::string> detail;
  std::string url;
  Range location;
};

struct ParseResult {
  std::vector<Node> nodes;  // never empty
  char escape = '\\';
  std::vector<ParseWarning> warnings;
};

// Text → lines → nodes. UNKNOWN with the reference's texts and locations.
StatusOr<ParseResult> Parse(std::string_view text);

// The parts of a word like "<<-'EOF'". False if `word` is no heredoc head.
bool ParseHeredocHead(std::string_view word, Heredoc* heredoc);
// Removes the tabs at the start of every line.
std::string ChompHeredocContent(std::string_view content);

// What a `# key=value` line above everything else says.
struct Directive {
  std::string value;  // up to the first blank
  std::string full;   // whole value
  std::vector<Range> location;
};
// `key` is "syntax", "check" or "escape". False if there is none.
bool FindDirective(std::string_view key, std::string_view text, Directive* found);
// Like FindDirective("syntax"), but takes `// syntax=…` and {"syntax": …} too.
bool DetectSyntax(std::string_view text, Directive* found);
// Value of a "check=…" comment line (without its '#'), as used above instructions.
bool CheckComment(std::string_view comment, std::string* value);

}  // namespace kiln::dockerfile
