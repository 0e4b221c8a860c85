// Bytes as a Dockerfile: parsed into instructions, and every word expanded. Seeds:
// tests/golden/dockerfile/cases/*/Dockerfile.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "frontend/dockerfile/parser.h"
#include "frontend/dockerfile/shell_word.h"

namespace {

using namespace kiln::dockerfile;

void ExpandAll(Stages stages, char escape) {
  const ShellLex lex{.escape = escape};
  const ListEnv env({"A=1", "PATH=/bin:/usr/bin", "E="});
  const WordExpander expand = [&](const std::string& word) -> kiln::StatusOr<std::string> {
    ASSIGN_OR_RETURN(WordResult result, lex.Process(word, env));
    return result.word;
  };
  for (Stage& stage : stages.stages) {
    expand(stage.base_name).IgnoreError();
    for (Command& command : stage.commands) {
      Expand(&command, expand).IgnoreError();
      ExpandRaw(&command, expand).IgnoreError();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Directive directive;
  DetectSyntax(text, &directive);
  const kiln::StatusOr<ParseResult> parsed = Parse(text);
  if (!parsed.ok()) {
    Locations(parsed.status());
    return 0;
  }
  kiln::StatusOr<Stages> stages = ParseStages(parsed->nodes);
  if (stages.ok()) ExpandAll(*std::move(stages), parsed->escape);
  return 0;
}
