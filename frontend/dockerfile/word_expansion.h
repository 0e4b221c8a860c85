// ExpandWord: one text cut into quotes, escapes and variables by the grammar
// (grammar/WordParser.g4), and what it expands to. Used by ShellLex only.
#pragma once

#include <string_view>

#include "base/status.h"
#include "frontend/dockerfile/shell_word.h"

namespace kiln::dockerfile {

// The expansion of `text` under `lex`; errors lack the text. Each thread keeps a parser.
// Costs time linear in the text and what its variables hold.
StatusOr<WordResult> ExpandWord(const ShellLex& lex, std::string_view text, const Env& env);

}  // namespace kiln::dockerfile
