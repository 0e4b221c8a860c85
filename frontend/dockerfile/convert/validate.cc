// Messages are the reference's; tools match on them.
#include "frontend/dockerfile/convert/validate.h"

#include <algorithm>

#include "base/file.h"
#include "base/strings.h"
#include "base/suggest.h"
#include "frontend/dockerfile/convert/meta_args.h"
#include "frontend/dockerfile/convert/state_env.h"
#include "oci/reference.h"

namespace kiln::dockerfile {
namespace {

// One of the words between underscores, or one of several joined ones.
bool HasWord(std::string_view name, std::initializer_list<std::string_view> words) {
  const std::string lower = ToLower(name);
  for (std::string_view part : StrSplit(lower, '_')) {
    if (std::find(words.begin(), words.end(), part) != words.end()) return true;
  }
  return false;
}

bool IsLower(std::string_view text) { return ToLower(text) == text; }
bool IsUpper(std::string_view text) { return ToUpper(text) == text; }

void CountCasing(std::string_view name, int* lower, int* upper) {
  if (IsLower(name)) {
    ++*lower;
  } else if (IsUpper(name)) {
    ++*upper;
  }
}

void ReportCasing(const std::string& name, bool lower, const std::vector<Range>& location,
                  Linter* lint) {
  if (lower ? IsLower(name) : IsUpper(name)) return;
  lint->Run(lint::kConsistentInstructionCasing, location,
            StrCat("Command '", name, "' should match the case of the command majority (",
                   lower ? "lowercase" : "uppercase", ")"));
}

// Patterns that take everything away, and not by accident some paths.
bool IgnoresRoot(const PatternList& ignore) {
  for (size_t i = 0; i < ignore.size(); ++i) {
    const std::string& text = ignore.text(i);
    if (!ignore.exclusion(i) && (text == "*" || text == "**" || text == "**/*")) return true;
  }
  return false;
}

}  // namespace

bool IsScanArg(std::string_view name) {
  return name == "BUILDKIT_SBOM_SCAN_CONTEXT" || name == "BUILDKIT_SBOM_SCAN_STAGE";
}

void ReportStageNames(const std::vector<Stage>& stages, Linter* lint) {
  std::set<std::string> seen;
  for (const Stage& stage : stages) {
    if (stage.name.empty()) continue;
    if (stage.name == "context" || stage.name == "scratch") {
      lint->Run(lint::kReservedStageName, stage.location,
                StrCat("Stage name should not use the same name as reserved stage ",
                       Quote(stage.name)));
    }
    if (!seen.insert(stage.name).second) {
      lint->Run(lint::kDuplicateStageName, stage.location,
                StrCat("Duplicate stage name ", Quote(stage.name),
                       ", stage names should be unique"));
    }
  }
}

void ReportCommandCasing(const std::vector<Stage>& stages, Linter* lint) {
  int lower = 0, upper = 0;
  for (const Stage& stage : stages) {
    CountCasing(stage.keyword, &lower, &upper);
    for (const Command& command : stage.commands) {
      CountCasing(BaseOf(command).name, &lower, &upper);
    }
  }
  for (const Stage& stage : stages) {
    ReportCasing(stage.keyword, lower > upper, stage.location, lint);
    for (const Command& command : stage.commands) {
      ReportCasing(BaseOf(command).name, lower > upper, BaseOf(command).location, lint);
    }
  }
}

void ReportDefaultArgsInFrom(const std::vector<Stage>& stages, const ShellLex& lex,
                             const llb::EnvList& env, const std::vector<ArgCommand>& args,
                             Linter* lint) {
  llb::EnvList defaults = env;
  std::map<std::string, ArgUse> uses;
  // The same mistake fails the build later, and is reported there.
  if (!BuildMetaArgs(args, {}, lex, &defaults, &uses).ok()) return;
  const StateEnv view(defaults);
  for (const Stage& stage : stages) {
    StatusOr<WordResult> name = lex.Process(stage.base_name, view);
    if (!name.ok()) return;
    if (oci::ParseReference(name->word).ok()) continue;
    lint->Run(lint::kInvalidDefaultArgInFrom, stage.location,
              StrCat("Default value for ARG ", stage.base_name,
                     " results in empty or invalid base image name"));
  }
}

void ReportUndefinedInFrom(const NameSet& unmatched,
                           const std::set<std::string>& known, const std::vector<Range>& location,
                           Linter* lint) {
  const std::vector<std::string> options(known.begin(), known.end());
  for (const std::string& name : unmatched) {
    if (known.contains(name)) continue;
    std::string message = StrCat("FROM argument '", name, "' is not declared");
    const std::string match = Suggest(name, options, true);
    if (!match.empty()) message += StrCat(" (did you mean ", match, "?)");
    lint->Run(lint::kUndefinedArgInFrom, location, message);
  }
}

void ReportStagePlatform(const Stage& stage, const WordResult& platform, const llb::EnvList& env,
                         Linter* lint) {
  const bool only_target = platform.matched == std::set<std::string>{"TARGETPLATFORM"};
  if (only_target && platform.unmatched.empty() &&
      platform.word == env.Get("TARGETPLATFORM").value_or("")) {
    lint->Run(lint::kRedundantTargetPlatform, stage.location,
              StrCat("Setting platform to predefined ", stage.platform,
                     " in FROM is redundant as this is the default behavior"));
  }
  if (!platform.matched.empty() || !platform.unmatched.empty()) return;
  StatusOr<Platform> parsed = ParsePlatform(platform.word);
  if (!parsed.ok()) return;
  // A stage that is named after its platform is meant to be for it.
  if (Contains(stage.name, parsed->os) || Contains(stage.name, parsed->architecture)) return;
  lint->Run(lint::kFromPlatformFlagConstDisallowed, stage.location,
            StrCat("FROM --platform flag should not use constant value ", Quote(platform.word)));
}

void ReportBaseImagePlatform(const std::string& name, const Platform& expected,
                             const Platform& actual, const std::vector<Range>& location,
                             Linter* lint) {
  if (expected.os == actual.os && expected.architecture == actual.architecture) return;
  lint->Run(lint::kInvalidBaseImagePlatform, location,
            StrCat("Base image ", name, " was pulled with platform ",
                   Quote(FormatPlatformAll(NormalizePlatform(actual))), ", expected ",
                   Quote(FormatPlatformAll(NormalizePlatform(expected))), " for current build"));
}

void ReportLegacyFormat(const CommandBase& command, Linter* lint) {
  lint->Run(lint::kLegacyKeyValueFormat, command.location,
            StrCat("\"", command.name, " key=value\" should be used instead of legacy \"",
                   command.name, " key value\" format"));
}

void ReportSecretName(std::string_view instruction, const std::string& key,
                      const std::vector<Range>& location, Linter* lint) {
  if (!HasWord(key, {"apikey", "auth", "credential", "credentials", "key", "password", "pword",
                     "passwd", "secret", "token"}) ||
      HasWord(key, {"public", "file", "version"})) {
    return;
  }
  lint->Run(lint::kSecretsUsedInArgOrEnv, location,
            StrCat("Do not use ARG or ENV instructions for sensitive data (", instruction, " ",
                   Quote(key), ")"));
}

void ReportIgnoredSource(const std::string& source, bool add, const PatternList& ignore,
                         const std::vector<Range>& location, Linter* lint) {
  // With exceptions it cannot be told what is left of a directory.
  if (ignore.empty() || ignore.has_exclusions()) return;
  const std::string path = CleanPath(source);
  if ((path == "." || path == "/") && !IgnoresRoot(ignore)) return;
  if (!ignore.MatchesOrParentMatches(path)) return;
  lint->Run(lint::kCopyIgnoredFile, location,
            StrCat("Attempting to ", add ? "Add" : "Copy", " file ", Quote(path),
                   " that is excluded by .dockerignore"));
}

}  // namespace kiln::dockerfile
