// What the parser finds odd but lets pass. Private to parse_instruction.cc.
#pragma once

#include <string>
#include <variant>

#include "frontend/dockerfile/parser.h"

namespace kiln::dockerfile {

// Rules that look at words only, and hence speak before errors are found.
void LintBeforeParse(const Node& node, const std::string& keyword, LintSink* lint);
// Rules on definitions: comments above FROM … AS and ARG.
void LintAfterParse(const Node& node, const std::variant<Command, Stage>& parsed, LintSink* lint);

}  // namespace kiln::dockerfile
