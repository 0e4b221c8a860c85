// Dispatcher: applies the instructions of one stage to its state and image config.
// Inside of convert/ only.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/pattern.h"
#include "frontend/dockerfile/convert/stage_state.h"
#include "frontend/dockerfile/lint/linter.h"
#include "frontend/dockerfile/shell_word.h"
#include "frontend/dockerfile/ui/config.h"
#include "llb/exec.h"
#include "llb/file_action.h"

namespace kiln::dockerfile {

// What all stages of one compilation share.
struct DispatchContext {
  const Config& config;
  std::map<std::string, std::string> build_args;
  llb::EnvList global_args;
  ShellLex lex;
  llb::State build_context;
  Platform target_platform;
  std::optional<llb::ProxyEnv> proxy;
  llb::CapPredicate caps;  // never empty
  std::shared_ptr<const llb::SourceMap> source_map;
  Linter lint;
  PatternList ignore;
  bool labs = false;
  // What is left before a hostile file is refused or its mistakes get no suggestion.
  int64_t bytes = 256 << 20;
  int64_t suggestions = 4 << 20;

  // Counts what expanded words and copied variables take; UNKNOWN when it is too much.
  Status Spend(size_t size) {
    bytes -= static_cast<int64_t>(size);
    if (bytes >= 0) return OkStatus();
    return UnknownError("variables expand to too long texts");
  }
  static constexpr size_t kVariableSize = 64;  // of one variable in one step
};

class Dispatcher {
 public:
  Dispatcher(DispatchContext& context, StageState& stage)
      : context_(context), stage_(stage), lint_(context.lint) {}
  // One instruction; its words are expanded in place.
  Status Dispatch(StageCommand& command);
  // What the base image's config says about directory and user.
  Status ApplyBaseConfig();

 private:
  Status Expand(Command* command);
  void ReportUnmatched(const CommandBase& command, const Env& env, NameSet unmatched);

  Status Run(const AddCommand& c, const StageCommand& command);
  Status Run(const ArgCommand& c, const StageCommand& command);
  Status Run(const CmdCommand& c, const StageCommand& command);
  Status Run(const CopyCommand& c, const StageCommand& command);
  Status Run(const EntrypointCommand& c, const StageCommand& command);
  Status Run(const EnvCommand& c, const StageCommand& command);
  Status Run(const ExposeCommand& c, const StageCommand& command);
  Status Run(const HealthCheckCommand& c, const StageCommand& command);
  Status Run(const LabelCommand& c, const StageCommand& command);
  Status Run(const MaintainerCommand& c, const StageCommand& command);
  Status Run(const OnbuildCommand& c, const StageCommand& command);
  Status Run(const RunCommand& c, const StageCommand& command);
  Status Run(const ShellCommand& c, const StageCommand& command);
  Status Run(const StopSignalCommand& c, const StageCommand& command);
  Status Run(const UserCommand& c, const StageCommand& command);
  Status Run(const VolumeCommand& c, const StageCommand& command);
  Status Run(const WorkdirCommand& c, const StageCommand& command);

  // ENV: a variable of the config that is there keeps its place.
  void SetConfigEnv(const std::string& key, const std::string& value);
  // ARG
  Status ApplyArg(const ArgCommand& c, ArgPair arg, std::vector<std::string>* history);
  // RUN
  Status RunHeredocs(const RunCommand& c, std::vector<std::string>* args, std::string* shown_name,
                     llb::Exec* exec);
  Status AddMounts(const RunCommand& c, const StageCommand& command, llb::Exec* exec);
  Status AddMount(const Mount& mount, StageState* source, llb::Exec* exec);
  Status AddSecret(const Mount& mount, const std::vector<Range>& location, llb::Exec* exec);
  Status AddSsh(const Mount& mount, const std::vector<Range>& location, llb::Exec* exec);
  Status AddDevices(const RunCommand& c, llb::Exec* exec);
  void ApplyLimits(llb::ExecMeta* meta, llb::Exec* exec);
  std::string RunName(const RunCommand& c, const std::string& shown_name);
  std::string RunHistory(const std::vector<std::string>& args) const;
  // WORKDIR
  Status SetWorkdir(const std::string& path, std::string* slashed);

  std::vector<std::string> WithShell(const std::vector<std::string>& args) const;
  std::vector<std::string> ShellForm(const CommandBase& command, const CommandLine& line);
  void UsedOnce(const CommandBase& command, UseTracker* tracker);
  void Commit(const std::string& created_by, bool layer, bool from_state = false);
  // The text with variables replaced, first word in upper case.
  std::string ShownName(const ShellLex& lex, const std::string& text, const Env& env) const;
  std::string Prefixed(const std::string& text, const std::optional<Platform>& platform,
                       const Env& env);
  std::vector<llb::SourceLocation> Locate(const std::vector<Range>& location) const;
  const std::string& os() const { return stage_.platform->os; }

  friend class CopyBuilder;
  DispatchContext& context_;
  StageState& stage_;
  Linter lint_;
  std::unordered_map<std::string, size_t> env_places_;  // in the config's env
  size_t env_seen_ = 0;                                 // how much of it is in env_places_
};

// "[os/arch stage 2/3] text": numbers the step. `env` tells what it compiles for.
std::string PrefixCommand(StageState* stage, const std::string& text,
                          const std::optional<Platform>& platform, const Env* env);
std::vector<llb::SourceLocation> LocationsIn(const std::shared_ptr<const llb::SourceMap>& map,
                                             const std::vector<Range>& ranges);

// COPY and ADD, which differ in few points only.
struct CopyRequest {
  const SourcesAndDest& files;
  const CommandBase& command;
  llb::State source;
  bool add = false;
  std::vector<std::string> exclude_patterns = {};
  std::string chown = {};
  std::string chmod = {};
  std::string checksum = {};
  bool link = false;
  bool parents = false;
  std::optional<bool> keep_git_dir = {};
  std::optional<bool> unpack = {};
  bool check_ignored = false;  // sources are of the main context
};

}  // namespace kiln::dockerfile
