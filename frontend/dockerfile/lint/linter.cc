// Settings come from three places: build argument or directive, and comments.
#include "frontend/dockerfile/lint/linter.h"

#include <algorithm>

#include "base/strings.h"

namespace kiln::dockerfile {
namespace {

bool Has(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void ReadRules(std::string_view text, bool* all, std::vector<std::string>* rules) {
  text = TrimSpace(text);
  if (text == "all") {
    *all = true;
    return;
  }
  rules->clear();
  for (std::string_view rule : StrSplit(text, ',')) rules->emplace_back(TrimSpace(rule));
}

void Append(const std::vector<std::string>& from, std::vector<std::string>* to) {
  to->insert(to->end(), from.begin(), from.end());
}

}  // namespace

StatusOr<LintConfig> ParseLintConfig(std::string_view text) {
  LintConfig config;
  text = TrimSpace(text);
  if (text.empty()) return config;
  for (std::string_view part : StrSplitN(text, ';', 3)) {
    std::string_view key, value;
    if (!StrCut(part, "=", &key, &value)) {
      return UnknownError(StrCat("invalid check option ", Quote(part)));
    }
    key = TrimSpace(key);
    if (key == "skip") {
      ReadRules(value, &config.skip_all, &config.skip_rules);
    } else if (key == "experimental") {
      ReadRules(value, &config.experimental_all, &config.experimental_rules);
    } else if (key == "error") {
      if (!ParseBool(TrimSpace(value), &config.return_as_error)) {
        return UnknownError(StrCat("failed to parse check option ", Quote(part),
                                   ": strconv.ParseBool: parsing ", Quote(TrimSpace(value)),
                                   ": invalid syntax"));
      }
    } else {
      return UnknownError(StrCat("invalid check option ", Quote(key)));
    }
  }
  return config;
}

Linter::Linter(const LintConfig& config, LintWarn warn)
    : config_(config),
      warn_(std::move(warn)),
      called_(std::make_shared<std::vector<std::string>>()) {}

void Linter::Run(const LintRule& rule, const std::vector<Range>& location,
                 const std::string& message) {
  if (!warn_) return;
  if (rule.experimental) {
    if (!config_.experimental_all && !Has(config_.experimental_rules, rule.name)) return;
  } else if (config_.skip_all || Has(config_.skip_rules, rule.name)) {
    return;
  }
  called_->emplace_back(rule.name);
  warn_(rule, message, location);
}

void Linter::Report(std::string_view rule, const std::string& message,
                    const std::vector<Range>& location,
                    const std::vector<std::string>& comments) {
  const LintRule* found = FindLintRule(rule);
  if (found == nullptr || !warn_) return;
  if (comments.empty()) return Run(*found, location, message);
  WithComments(comments).Run(*found, location, message);
}

Linter Linter::WithComments(const std::vector<std::string>& comments) const {
  for (const std::string& comment : comments) {
    std::string value;
    if (!CheckComment(comment, &value)) continue;
    StatusOr<LintConfig> added = ParseLintConfig(StrSplitN(value, ' ', 2)[0]);
    if (!added.ok()) return *this;
    Linter merged = *this;
    merged.config_.experimental_all |= added->experimental_all;
    merged.config_.skip_all |= added->skip_all;
    Append(added->experimental_rules, &merged.config_.experimental_rules);
    Append(added->skip_rules, &merged.config_.skip_rules);
    return merged;
  }
  return *this;
}

Status Linter::Error() const {
  if (!config_.return_as_error || called_->empty()) return OkStatus();
  std::vector<std::string> unique;
  for (const std::string& rule : *called_) {
    if (!Has(unique, rule)) unique.push_back(rule);
  }
  return UnknownError(StrCat("lint violation found for rules: ", StrJoin(unique, ", ")));
}

std::string LintFormatShort(std::string_view rule, const std::string& message, int line) {
  std::string text = StrCat(rule, ": ", message);
  return line > 0 ? StrCat(text, " (line ", line, ")") : text;
}

}  // namespace kiln::dockerfile
