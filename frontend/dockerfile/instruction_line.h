// InstructionLineParser: one logical line → keyword, flags and words, by the ANTLR
// grammar in grammar/. Private to parse.cc.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln::dockerfile {

struct InstructionLine {
  std::string keyword;
  std::vector<std::string> flags;
  std::vector<std::string> args;  // as in Node
  bool json = false;
  // What decides on here-documents: for ONBUILD that is the inner instruction.
  std::string inner_keyword;  // lower case
  bool inner_json = false;
};

// Keeps ANTLR's lexer and parser from line to line. Not thread-safe.
class InstructionLineParser {
 public:
  InstructionLineParser();
  ~InstructionLineParser();
  void set_escape(char escape) { escape_ = escape; }
  // UNKNOWN with the reference's texts, without a location.
  StatusOr<InstructionLine> Parse(std::string_view line);

 private:
  StatusOr<InstructionLine> ParseNested(std::string_view line, int depth);
  struct Machine;
  std::unique_ptr<Machine> machine_;
  char escape_ = '\\';
};

}  // namespace kiln::dockerfile
