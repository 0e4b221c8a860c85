// From nodes to instructions and stages: the language's rules on arguments and
// flags, with the reference's error texts.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "frontend/dockerfile/ast.h"
#include "frontend/dockerfile/instruction.h"

namespace kiln::dockerfile {

// Takes what the parser finds odd. The linter implements it.
class LintSink {
 public:
  virtual ~LintSink() = default;
  // `comments` stand right above the instruction: they may switch rules off.
  virtual void Report(std::string_view rule, const std::string& message,
                      const std::vector<Range>& location,
                      const std::vector<std::string>& comments) = 0;
};

// One node. Errors carry its location. `lint` may be null.
StatusOr<std::variant<Command, Stage>> ParseInstruction(const Node& node, LintSink* lint = nullptr);
// The same, for places where FROM makes no sense (ONBUILD triggers, image changes).
StatusOr<Command> ParseCommand(const Node& node);

struct Stages {
  std::vector<Stage> stages;
  std::vector<ArgCommand> meta_args;  // ARGs before the first FROM
};
// A whole file. Errors read "dockerfile parse error on line N: …".
StatusOr<Stages> ParseStages(const std::vector<Node>& nodes, LintSink* lint = nullptr);

}  // namespace kiln::dockerfile
