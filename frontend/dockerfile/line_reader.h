// LineReader: the pre-pass. Physical lines → logical lines: directives are obeyed,
// comments kept aside, continuations joined, here-document bodies cut out on request.
// It knows nothing of instructions, since line ends do not care about quotes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "frontend/dockerfile/ast.h"
#include "frontend/dockerfile/directive.h"

namespace kiln::dockerfile {

struct LogicalLine {
  std::string text;
  int start_line = 0;
  std::vector<std::string> comments;
  bool empty_continuation = false;  // blank lines stood among the continued ones
};

// Not thread-safe. `text` must outlive the reader.
class LineReader {
 public:
  explicit LineReader(std::string_view text) : rest_(text) {}

  // False at the end. Errors of directives carry their location.
  StatusOr<bool> Next(LogicalLine* line);
  // Reads the body of `heredoc` up to its name; false if that never comes.
  bool ReadHeredoc(Heredoc* heredoc);

  char escape() const { return escape_; }
  // Number of the physical line read last.
  int line() const { return line_; }
  // The reading ended at a line that is too long.
  bool too_long() const { return too_long_; }

 private:
  bool NextPhysical(std::string_view* line);
  Status TakeDirective(std::string_view line, bool* taken);
  // Whether the line goes on; if so, without its escape.
  bool Continues(std::string_view* line) const;
  Status Join(LogicalLine* line);
  void TakeComment(std::string_view raw);

  std::string_view rest_;
  DirectiveReader directives_;
  std::vector<std::string> comments_;
  char escape_ = '\\';
  int line_ = 0;
  bool too_long_ = false;
};

}  // namespace kiln::dockerfile
