// The instructions that change little more than the image config, and what all
// instructions share. RUN, COPY/ADD and EXPOSE have files of their own.
#include "frontend/dockerfile/convert/dispatch.h"

#include <cmath>

#include "base/strings.h"
#include "base/suggest.h"
#include "base/units.h"
#include "frontend/dockerfile/convert/go_format.h"
#include "frontend/dockerfile/convert/os_path.h"
#include "frontend/dockerfile/convert/signals.h"
#include "frontend/dockerfile/convert/state_env.h"
#include "frontend/dockerfile/convert/validate.h"

namespace kiln::dockerfile {
namespace {

// What TARGETPLATFORM and its parts say, if the stage knows them.
std::optional<Platform> PlatformFromEnv(const Env& env) {
  std::optional<Platform> parts;
  for (const std::string& key : env.Keys()) {
    if (!key.starts_with("TARGET")) continue;
    const std::string value = env.Get(key).value_or("");
    if (key == "TARGETPLATFORM") {
      StatusOr<Platform> whole = ParsePlatform(value);
      if (whole.ok()) return *whole;
    }
    std::string Platform::*part = key == "TARGETOS"        ? &Platform::os
                                  : key == "TARGETARCH"    ? &Platform::architecture
                                  : key == "TARGETVARIANT" ? &Platform::variant
                                                           : nullptr;
    if (part == nullptr) continue;
    if (!parts) parts.emplace();
    (*parts).*part = value;
  }
  return parts;
}

// "->arm64" where a stage compiles for another platform than it runs on.
std::string CrossTarget(const Platform& base, std::optional<Platform> target) {
  if (!target) return "";
  if (target->os.empty()) target->os = base.os;
  if (target->architecture.empty()) target->architecture = base.architecture;
  const Platform normal = NormalizePlatform(*target);
  if (normal.os != base.os) return StrCat("->", FormatPlatformAll(normal));
  if (normal.architecture == base.architecture) return "";
  return normal.variant.empty() ? StrCat("->", normal.architecture)
                                : StrCat("->", normal.architecture, "/", normal.variant);
}

std::string Padded(int number, int width) {
  std::string text = StrCat(number);
  if (static_cast<int>(text.size()) < width) text.insert(0, width - text.size(), ' ');
  return text;
}

}  // namespace

std::vector<llb::SourceLocation> LocationsIn(const std::shared_ptr<const llb::SourceMap>& map,
                                             const std::vector<Range>& ranges) {
  if (map == nullptr) return {};
  llb::SourceLocation location{map, {}};
  for (const Range& range : ranges) {
    location.ranges.push_back(
        {range.start.line, range.start.character, range.end.line, range.end.character});
  }
  return {location};
}

std::string PrefixCommand(StageState* stage, const std::string& text,
                          const std::optional<Platform>& platform, const Env* env) {
  if (stage->cmd_total == 0) return text;
  std::string out = "[";
  if (stage->prefix_platform && platform) {
    out += FormatPlatformAll(*platform);
    if (env != nullptr) out += CrossTarget(*platform, PlatformFromEnv(*env));
    out += " ";
  }
  if (!stage->stage_name.empty()) out += stage->stage_name + " ";
  const int width = static_cast<int>(1 + std::log10(static_cast<double>(stage->cmd_total)));
  out += StrCat(Padded(++stage->cmd_index, width), "/", stage->cmd_total, "] ");
  if (stage->cmd_is_on_build) out += "ONBUILD ";
  return out + text;
}

Status Dispatcher::Dispatch(StageCommand& command) {
  const CommandBase& base = BaseOf(command.command);
  lint_ = base.comments.empty() ? context_.lint : context_.lint.WithComments(base.comments);
  stage_.cmd_is_on_build = command.on_build;
  RETURN_IF_ERROR(Expand(&command.command));
  return std::visit([&](const auto& c) { return Run(c, command); }, command.command);
}

Status Dispatcher::Expand(Command* command) {
  const StateEnv env(stage_.state.meta().env);
  auto expander = [&](const ShellLex& lex) {
    return [this, &env, &lex, command](const std::string& word) -> StatusOr<std::string> {
      ASSIGN_OR_RETURN(WordResult result, lex.Process(word, env));
      RETURN_IF_ERROR(context_.Spend(result.word.size()));
      ReportUnmatched(BaseOf(*command), env, std::move(result.unmatched));
      return std::move(result.word);
    };
  };
  // The value of an ARG may be ignored, and then it need not expand.
  if (!std::holds_alternative<ArgCommand>(*command)) {
    RETURN_IF_ERROR(kiln::dockerfile::Expand(command, expander(context_.lex)));
  }
  ShellLex raw;
  raw.skip_quotes = true;
  return ExpandRaw(command, expander(raw));
}

void Dispatcher::ReportUnmatched(const CommandBase& command, const Env& env,
                                 NameSet unmatched) {
  if (unmatched.empty()) return;
  for (const ArgPair& arg : stage_.build_args) unmatched.erase(arg.key);
  for (const std::string& name : unmatched) {
    if (IsScanArg(name)) continue;
    std::string message = StrCat("Usage of undefined variable '$", name, "'");
    const std::vector<std::string> known = env.Keys();
    context_.suggestions -= static_cast<int64_t>(known.size());
    const std::string match = context_.suggestions < 0 ? "" : Suggest(name, known, true);
    if (!match.empty()) message += StrCat(" (did you mean $", match, "?)");
    lint_.Run(lint::kUndefinedVar, command.location, message);
  }
}

Status Dispatcher::ApplyBaseConfig() {
  if (!stage_.image.config.working_dir.empty()) {
    std::string slashed;
    RETURN_IF_ERROR(SetWorkdir(stage_.image.config.working_dir, &slashed));
  }
  if (!stage_.image.config.user.empty()) {
    stage_.state.mutable_meta().user = stage_.image.config.user;
  }
  return OkStatus();
}

void Dispatcher::Commit(const std::string& created_by, bool layer, bool from_state) {
  oci::History entry;
  entry.created = stage_.epoch ? stage_.epoch->text : "";
  entry.created_by = from_state ? created_by + " # buildkit" : created_by;
  entry.comment = "buildkit.dockerfile.v0";
  entry.empty_layer = !layer;
  stage_.image.history.push_back(std::move(entry));
}

std::string Dispatcher::ShownName(const ShellLex& lex, const std::string& text,
                                  const Env& env) const {
  StatusOr<WordResult> expanded = lex.Process(text, env);
  const std::string shown = expanded.ok() ? expanded->word : text;
  const size_t blank = std::min(shown.find(' '), shown.size());
  return ToUpper(std::string_view(shown).substr(0, blank)) + shown.substr(blank);
}

std::string Dispatcher::Prefixed(const std::string& text, const std::optional<Platform>& platform,
                                 const Env& env) {
  return PrefixCommand(&stage_, text, platform, &env);
}

std::vector<llb::SourceLocation> Dispatcher::Locate(const std::vector<Range>& location) const {
  return LocationsIn(context_.source_map, location);
}

std::vector<std::string> Dispatcher::WithShell(const std::vector<std::string>& args) const {
  std::vector<std::string> line = stage_.image.config.shell;
  if (line.empty()) {
    line = stage_.image.platform.os == "windows"
               ? std::vector<std::string>{"cmd", "/S", "/C"}
               : std::vector<std::string>{"/bin/sh", "-c"};
  }
  line.push_back(StrJoin(args, " "));
  return line;
}

std::vector<std::string> Dispatcher::ShellForm(const CommandBase& command,
                                               const CommandLine& line) {
  if (!line.prepend_shell) return line.args;
  if (stage_.image.config.shell.empty()) {
    lint_.Run(lint::kJsonArgsRecommended, command.location,
              StrCat("JSON arguments recommended for ", command.name,
                     " to prevent unintended behavior related to OS signals"));
  }
  return WithShell(line.args);
}

void Dispatcher::UsedOnce(const CommandBase& command, UseTracker* tracker) {
  if (tracker->set) {
    // The earlier one is what has no effect, so it is the one that is reported.
    lint_.Run(lint::kMultipleInstructionsDisallowed, tracker->location,
              StrCat("Multiple ", command.name,
                     " instructions should not be used in the same stage because only the last "
                     "one will be used"));
  }
  *tracker = {true, command.location};
}

void Dispatcher::SetConfigEnv(const std::string& key, const std::string& value) {
  std::vector<std::string>& env = stage_.image.config.env;
  // Nothing else touches the list while the stage's instructions are applied.
  for (; env_seen_ < env.size(); ++env_seen_) {
    env_places_.try_emplace(env[env_seen_].substr(0, env[env_seen_].find('=')), env_seen_);
  }
  const auto [place, added] = env_places_.try_emplace(key, env.size());
  if (added) env.emplace_back();
  env[place->second] = StrCat(key, "=", value);
  env_seen_ = env.size();
}

Status Dispatcher::Run(const EnvCommand& c, const StageCommand&) {
  std::string message = "ENV";
  for (const KeyValuePair& pair : c.env) {
    if (pair.no_delim) ReportLegacyFormat(c, &lint_);
    ReportSecretName("ENV", pair.key, c.location, &lint_);
    message += StrCat(" ", pair.key, "=", pair.value);
    stage_.state.SetEnv(pair.key, pair.value);
    SetConfigEnv(pair.key, pair.value);
  }
  Commit(message, false);
  return OkStatus();
}

Status Dispatcher::Run(const MaintainerCommand& c, const StageCommand&) {
  stage_.image.author = c.maintainer;
  Commit("MAINTAINER " + c.maintainer, false);
  return OkStatus();
}

Status Dispatcher::Run(const LabelCommand& c, const StageCommand&) {
  std::string message = "LABEL";
  for (const KeyValuePair& pair : c.labels) {
    if (pair.no_delim) ReportLegacyFormat(c, &lint_);
    stage_.image.config.labels[pair.key] = pair.value;
    message += StrCat(" ", pair.key, "=", pair.value);
  }
  Commit(message, false);
  return OkStatus();
}

Status Dispatcher::Run(const OnbuildCommand& c, const StageCommand&) {
  stage_.image.config.on_build.push_back(c.expression);
  return OkStatus();
}

Status Dispatcher::Run(const CmdCommand& c, const StageCommand&) {
  UsedOnce(c, &stage_.cmd);
  const std::vector<std::string> args = ShellForm(c, c.line);
  stage_.image.config.cmd = args;
  stage_.image.config.args_escaped = true;
  Commit("CMD " + GoQuotedList(args), false);
  return OkStatus();
}

Status Dispatcher::Run(const EntrypointCommand& c, const StageCommand&) {
  UsedOnce(c, &stage_.entrypoint);
  const std::vector<std::string> args = ShellForm(c, c.line);
  stage_.image.config.entrypoint = args;
  if (!stage_.cmd.set) stage_.image.config.cmd.clear();
  Commit("ENTRYPOINT " + GoQuotedList(args), false);
  return OkStatus();
}

Status Dispatcher::Run(const HealthCheckCommand& c, const StageCommand&) {
  UsedOnce(c, &stage_.healthcheck);
  const Healthcheck& health = c.health;
  stage_.image.config.healthcheck = {health.test,         health.interval,       health.timeout,
                                     health.start_period, health.start_interval, health.retries};
  Commit(StrCat("HEALTHCHECK {Test:", GoList(health.test),
                " Interval:", FormatDuration(health.interval),
                " Timeout:", FormatDuration(health.timeout),
                " StartPeriod:", FormatDuration(health.start_period),
                " StartInterval:", FormatDuration(health.start_interval),
                " Retries:", health.retries, "}"),
         false);
  return OkStatus();
}

Status Dispatcher::Run(const UserCommand& c, const StageCommand&) {
  stage_.state.mutable_meta().user = c.user;
  stage_.image.config.user = c.user;
  Commit("USER " + c.user, false);
  return OkStatus();
}

Status Dispatcher::Run(const VolumeCommand& c, const StageCommand&) {
  for (const std::string& volume : c.volumes) {
    if (volume.empty()) return UnknownError("VOLUME specified can not be an empty string");
    stage_.image.config.volumes.insert(volume);
  }
  Commit("VOLUME " + GoList(c.volumes), false);
  return OkStatus();
}

Status Dispatcher::Run(const StopSignalCommand& c, const StageCommand&) {
  if (!IsSignal(c.signal)) return UnknownError("invalid signal: " + c.signal);
  stage_.image.config.stop_signal = c.signal;
  Commit("STOPSIGNAL " + c.signal, false);
  return OkStatus();
}

Status Dispatcher::Run(const ShellCommand& c, const StageCommand&) {
  stage_.image.config.shell = c.shell;
  Commit("SHELL " + GoList(c.shell), false);
  return OkStatus();
}

Status Dispatcher::Run(const ArgCommand& c, const StageCommand&) {
  std::vector<std::string> history;
  for (const ArgPair& arg : c.args) RETURN_IF_ERROR(ApplyArg(c, arg, &history));
  Commit("ARG " + StrJoin(history, " "), false);
  return OkStatus();
}

Status Dispatcher::ApplyArg(const ArgCommand& c, ArgPair arg, std::vector<std::string>* history) {
  ReportSecretName("ARG", arg.key, c.location, &lint_);
  auto given = context_.build_args.find(arg.key);
  const bool has_default = arg.value.has_value();
  bool global = false;
  if (given != context_.build_args.end()) {
    arg.value = given->second;
  } else if (has_default) {
    const StateEnv env(stage_.state.meta().env);
    ASSIGN_OR_RETURN(WordResult result, context_.lex.Process(*arg.value, env));
    RETURN_IF_ERROR(context_.Spend(result.word.size()));
    ReportUnmatched(c, env, std::move(result.unmatched));
    arg.value = std::move(result.word);
  } else if (std::optional<std::string> value = context_.global_args.Get(arg.key)) {
    arg.value = *std::move(value);
    global = true;
  }
  ArgUse use{"", arg, {}, c.location};
  if (arg.value) {
    if (!IsScanArg(arg.key)) stage_.state.SetEnv(arg.key, *arg.value);
    use.value = *arg.value;
  }
  // An argument of the whole file is described where it is declared.
  if (!global) stage_.outline.all_args[arg.key] = std::move(use);
  stage_.outline.used_args.insert(arg.key);
  history->push_back(arg.value ? StrCat(arg.key, "=", *arg.value) : arg.key);
  stage_.build_args.push_back(std::move(arg));
  return OkStatus();
}

Status Dispatcher::SetWorkdir(const std::string& path, std::string* slashed) {
  StatusOr<std::string> dir = NormalizeWorkdir(stage_.image.config.working_dir, path, os());
  if (!dir.ok()) return Annotate(dir.status(), "normalizing workdir");
  stage_.image.config.working_dir = *dir;
  *slashed = ToSlash(*dir, os());
  stage_.state.SetDir(*slashed);
  return OkStatus();
}

Status Dispatcher::Run(const WorkdirCommand& c, const StageCommand&) {
  // Only the first one counts: the others are mended by mending it.
  if (!stage_.workdir_set && !IsAbsoluteOsPath(c.path, os())) {
    lint_.Run(lint::kWorkdirRelativePath, c.location,
              StrCat("Relative workdir ", Quote(c.path),
                     " can have unexpected results if the base image changes"));
  }
  stage_.workdir_set = true;
  std::string dir;
  RETURN_IF_ERROR(SetWorkdir(c.path, &dir));
  if (dir == "/") {
    Commit("WORKDIR " + dir, false);
    return OkStatus();
  }
  llb::Mkdir mkdir;
  mkdir.path = dir;
  mkdir.make_parents = true;
  if (const std::string& user = stage_.image.config.user; !user.empty()) {
    mkdir.owner = llb::ParseChown(user);
  }
  if (stage_.epoch) mkdir.created = stage_.epoch->time;
  const StateEnv env(stage_.state.meta().env);
  llb::Constraints constraints;
  constraints.Named(Prefixed(ShownName(context_.lex, c.code, env), stage_.platform, env));
  constraints.locations = Locate(c.location);
  constraints.platform = stage_.platform;
  stage_.state = stage_.state.File(llb::FileAction(std::move(mkdir)), std::move(constraints));
  Commit("WORKDIR " + dir, true);
  return OkStatus();
}

}  // namespace kiln::dockerfile
