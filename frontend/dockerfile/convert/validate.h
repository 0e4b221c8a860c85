// Checks whose findings are lint warnings, made while a file is converted.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/pattern.h"
#include "base/platform.h"
#include "frontend/dockerfile/instruction.h"
#include "frontend/dockerfile/lint/linter.h"
#include "frontend/dockerfile/shell_word.h"
#include "llb/env_list.h"

namespace kiln::dockerfile {

// Names that are settings of the SBOM scanner and never become variables.
bool IsScanArg(std::string_view name);

void ReportStageNames(const std::vector<Stage>& stages, Linter* lint);
void ReportCommandCasing(const std::vector<Stage>& stages, Linter* lint);
// Base names that are none when no build argument is given.
void ReportDefaultArgsInFrom(const std::vector<Stage>& stages, const ShellLex& lex,
                             const llb::EnvList& env, const std::vector<ArgCommand>& args,
                             Linter* lint);
// Variables of a FROM line that are declared nowhere.
void ReportUndefinedInFrom(const NameSet& unmatched,
                           const std::set<std::string>& known, const std::vector<Range>& location,
                           Linter* lint);
void ReportStagePlatform(const Stage& stage, const WordResult& platform, const llb::EnvList& env,
                         Linter* lint);
void ReportBaseImagePlatform(const std::string& name, const Platform& expected,
                             const Platform& actual, const std::vector<Range>& location,
                             Linter* lint);
void ReportLegacyFormat(const CommandBase& command, Linter* lint);
void ReportSecretName(std::string_view instruction, const std::string& key,
                      const std::vector<Range>& location, Linter* lint);
// A source that the ignore file takes away.
void ReportIgnoredSource(const std::string& source, bool add, const PatternList& ignore,
                         const std::vector<Range>& location, Linter* lint);

}  // namespace kiln::dockerfile
