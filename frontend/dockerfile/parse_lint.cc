// MaintainerDeprecated, StageNameCasing, FromAsCasing, InvalidDefinitionDescription.
#include "frontend/dockerfile/parse_lint.h"

#include <algorithm>

#include "base/strings.h"

namespace kiln::dockerfile {

namespace {

bool CasingDiffers(const Node& node) {
  if (node.args.size() < 3) return false;
  // A keyword in mixed case has a rule of its own.
  if (node.keyword == ToLower(node.keyword)) return node.args[1] != ToLower(node.args[1]);
  if (node.keyword == ToUpper(node.keyword)) return node.args[1] != ToUpper(node.args[1]);
  return false;
}

void CheckDescription(const Node& node, std::string_view instruction,
                      const std::vector<std::string>& names, LintSink* lint) {
  if (node.comments.empty() || names.empty()) return;
  const std::string& last = node.comments.back();
  const std::string first_word = last.substr(0, last.find(' '));
  if (std::find(names.begin(), names.end(), first_word) != names.end()) return;
  lint->Report("InvalidDefinitionDescription",
               StrCat("Comment for ", instruction, " should follow the format: `# ",
                      names.size() > 1 ? "<arg_key>" : names[0], " <description>`"),
               node.Location(), node.comments);
}

}  // namespace

void LintBeforeParse(const Node& node, const std::string& keyword, LintSink* lint) {
  if (keyword == "maintainer") {
    lint->Report("MaintainerDeprecated",
                 "Maintainer instruction is deprecated in favor of using label", node.Location(),
                 node.comments);
  }
  if (keyword != "from") return;
  if (node.args.size() == 3 && node.args[2] != ToLower(node.args[2])) {
    lint->Report("StageNameCasing", StrCat("Stage name '", node.args[2], "' should be lowercase"),
                 node.Location(), node.comments);
  }
  if (CasingDiffers(node)) {
    lint->Report(
        "FromAsCasing",
        StrCat("'", node.args[1], "' and '", node.keyword, "' keywords' casing do not match"),
        node.Location(), node.comments);
  }
}

void LintAfterParse(const Node& node, const std::variant<Command, Stage>& parsed, LintSink* lint) {
  if (const auto* stage = std::get_if<Stage>(&parsed)) {
    if (!stage->name.empty()) CheckDescription(node, "FROM", {stage->name}, lint);
    return;
  }
  if (const auto* arg = std::get_if<ArgCommand>(&std::get<Command>(parsed))) {
    std::vector<std::string> names;
    for (const ArgPair& pair : arg->args) names.push_back(pair.key);
    CheckDescription(node, "ARG", names, lint);
  }
}

}  // namespace kiln::dockerfile
