// Linter: decides which findings are reported and hands them on.
//
// Copies share the list of rules that fired: the copy with other settings that a
// comment above one instruction makes still counts for the whole file.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "frontend/dockerfile/lint/rules.h"
#include "frontend/dockerfile/parser.h"
#include "frontend/dockerfile/source_range.h"

namespace kiln::dockerfile {

struct LintConfig {
  bool experimental_all = false;
  std::vector<std::string> experimental_rules;
  bool return_as_error = false;
  bool skip_all = false;
  std::vector<std::string> skip_rules;
};
// "skip=A,B;experimental=all;error=true". UNKNOWN 'invalid check option "…"'.
StatusOr<LintConfig> ParseLintConfig(std::string_view text);

using LintWarn = std::function<void(const LintRule& rule, const std::string& message,
                                    const std::vector<Range>& location)>;

// Not thread-safe; one per compilation.
class Linter : public LintSink {
 public:
  // Without `warn` nothing is reported and nothing counts.
  Linter(const LintConfig& config, LintWarn warn);

  void Run(const LintRule& rule, const std::vector<Range>& location, const std::string& message);
  void Report(std::string_view rule, const std::string& message,
              const std::vector<Range>& location,
              const std::vector<std::string>& comments) override;
  // With the settings of a "check=…" comment among `comments` added.
  Linter WithComments(const std::vector<std::string>& comments) const;
  // "lint violation found for rules: …" if findings are to fail the build.
  Status Error() const;

 private:
  LintConfig config_;
  LintWarn warn_;
  std::shared_ptr<std::vector<std::string>> called_;
};

// "Rule: message (line N)": how a finding is shown as a warning of a build.
std::string LintFormatShort(std::string_view rule, const std::string& message, int line);

}  // namespace kiln::dockerfile
