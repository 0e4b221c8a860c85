// The lint rules: names, descriptions and addresses as the reference publishes
// them. Messages are made where a rule is checked.
#pragma once

#include <string_view>

namespace kiln::dockerfile {

struct LintRule {
  std::string_view name;
  std::string_view description;
  std::string_view url;
  bool experimental = false;
};

// The rule of that name, or null.
const LintRule* FindLintRule(std::string_view name);

namespace lint {
extern const LintRule kStageNameCasing;
extern const LintRule kFromAsCasing;
extern const LintRule kNoEmptyContinuation;
extern const LintRule kConsistentInstructionCasing;
extern const LintRule kDuplicateStageName;
extern const LintRule kReservedStageName;
extern const LintRule kJsonArgsRecommended;
extern const LintRule kMaintainerDeprecated;
extern const LintRule kUndefinedArgInFrom;
extern const LintRule kWorkdirRelativePath;
extern const LintRule kUndefinedVar;
extern const LintRule kMultipleInstructionsDisallowed;
extern const LintRule kLegacyKeyValueFormat;
extern const LintRule kInvalidBaseImagePlatform;
extern const LintRule kRedundantTargetPlatform;
extern const LintRule kSecretsUsedInArgOrEnv;
extern const LintRule kInvalidDefaultArgInFrom;
extern const LintRule kFromPlatformFlagConstDisallowed;
extern const LintRule kCopyIgnoredFile;
extern const LintRule kInvalidDefinitionDescription;
extern const LintRule kExposeProtoCasing;
extern const LintRule kExposeInvalidFormat;
}  // namespace lint

}  // namespace kiln::dockerfile
