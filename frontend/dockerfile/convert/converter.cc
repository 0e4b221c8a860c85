// The order of the passes, parsing, arguments, and the end. Stages and base images
// are in converter_stages.cc and converter_bases.cc.
#include "frontend/dockerfile/convert/converter.h"

#include "base/file.h"
#include "base/strings.h"
#include "frontend/dockerfile/convert/meta_args.h"
#include "frontend/dockerfile/convert/os_path.h"
#include "frontend/dockerfile/convert/state_env.h"
#include "frontend/dockerfile/convert/validate.h"

namespace kiln::dockerfile {
namespace {

std::optional<llb::ProxyEnv> ProxyFrom(const std::map<std::string, std::string>& args) {
  std::optional<llb::ProxyEnv> proxy;
  for (const auto& [key, value] : args) {
    const std::string lower = ToLower(key);
    std::string llb::ProxyEnv::*member = lower == "http_proxy"    ? &llb::ProxyEnv::http
                                         : lower == "https_proxy" ? &llb::ProxyEnv::https
                                         : lower == "ftp_proxy"   ? &llb::ProxyEnv::ftp
                                         : lower == "no_proxy"    ? &llb::ProxyEnv::no_proxy
                                         : lower == "all_proxy"   ? &llb::ProxyEnv::all
                                                                  : nullptr;
    if (member == nullptr) continue;
    if (!proxy) proxy.emplace();
    (*proxy).*member = value;
  }
  return proxy;
}

// Entries of the stage and of all below it, oldest first.
std::vector<oci::History> FullHistory(const StageState& target) {
  std::vector<const StageState*> chain;
  for (const StageState* stage = &target; stage != nullptr; stage = stage->base) {
    chain.push_back(stage);
  }
  std::vector<oci::History> history;
  for (auto stage = chain.rbegin(); stage != chain.rend(); ++stage) {
    const std::vector<oci::History>& own = (*stage)->image.history;
    history.insert(history.end(), own.begin(), own.end());
  }
  return history;
}

bool EnabledForStage(const std::string& stage, const std::string& value) {
  bool enabled = false;
  if (ParseBool(value, &enabled)) return enabled;
  for (std::string_view name : StrSplit(value, ',')) {
    if (name == stage) return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> FollowPathsOf(const std::set<std::string>& paths) {
  std::vector<std::string> follow;
  for (const std::string& path : paths) {
    if (path == "/") return {};
    follow.push_back(CleanPath("./" + path));
  }
  std::sort(follow.begin(), follow.end());
  return follow;
}

Converter::Converter(const ConvertOptions& options)
    : options_(options),
      config_(options.client->config()),
      build_args_(config_.build_args),
      target_platform_(options.target_platform ? *options.target_platform
                                               : config_.build_platforms[0]),
      implicit_target_(!options.target_platform),
      caps_(options.client->bridge().build_opts().supports_llb_cap) {
  if (!caps_) caps_ = [](std::string_view) { return true; };
  build_context_ = llb::Deferred([output = context_output_] { return *output; });
}

StatusOr<StageState*> Converter::Run() {
  RETURN_IF_ERROR(Parse());
  RETURN_IF_ERROR(ReadArgs());
  RETURN_IF_ERROR(DeclareStages());
  ASSIGN_OR_RETURN(StageState* const target, FindTarget());
  RETURN_IF_ERROR(LinkStages());
  RETURN_IF_ERROR(ResolveStages(target));
  RETURN_IF_ERROR(DispatchStages(ReachableStages(target), target));
  RETURN_IF_ERROR(Finalize(target));
  return target;
}

Status Converter::Parse() {
  const std::string& text = options_.source_map->data;
  if (text.empty()) return UnknownError("the Dockerfile cannot be empty");
  LintConfig config;
  if (config_.lint) {
    config = *config_.lint;
  } else {
    Directive check;
    FindDirective("check", text, &check);
    StatusOr<LintConfig> parsed = ParseLintConfig(check.value);
    if (!parsed.ok()) return Annotate(parsed.status(), "failed to parse check options");
    config = *std::move(parsed);
  }
  lint_ = std::make_unique<Linter>(config, options_.warn);
  ASSIGN_OR_RETURN(const ParseResult result, kiln::dockerfile::Parse(text));
  for (const ParseWarning& warning : result.warnings) {
    if (warning.url != lint::kNoEmptyContinuation.url) continue;
    lint_->Run(lint::kNoEmptyContinuation, {warning.location}, "Empty continuation line");
  }
  lex_.escape = result.escape;
  ASSIGN_OR_RETURN(parsed_, ParseStages(result.nodes, lint_.get()));
  if (parsed_.stages.empty()) return UnknownError("dockerfile contains no stages to build");
  ReportStageNames(parsed_.stages, lint_.get());
  ReportCommandCasing(parsed_.stages, lint_.get());
  return OkStatus();
}

Status Converter::ReadArgs() {
  const std::string target =
      config_.target.empty() ? parsed_.stages.back().name : config_.target;
  global_args_ = DefaultArgs(config_.build_platforms[0], target_platform_, build_args_, target);
  ReportDefaultArgsInFrom(parsed_.stages, lex_, global_args_, parsed_.meta_args, lint_.get());
  RETURN_IF_ERROR(BuildMetaArgs(parsed_.meta_args, build_args_, lex_, &global_args_,
                                &outline_.all_args));
  const std::string name = "SOURCE_DATE_EPOCH";
  auto given = build_args_.find(name);
  const std::optional<std::string> global = global_args_.Get(name);
  if (given != build_args_.end() || (global && !global->empty())) {
    const std::string value = given != build_args_.end() ? given->second : *global;
    ASSIGN_OR_RETURN(epoch_, ResolveEpoch(value, {options_.client, parsed_.stages, build_args_,
                                                  global_args_, lex_}));
    // Stages see the number, whatever it was made from.
    if (epoch_) {
      const std::string seconds = StrCat(epoch_->seconds());
      if (given != build_args_.end()) given->second = seconds;
      if (global) global_args_.Set(name, seconds);
    } else {
      if (given != build_args_.end()) build_args_.erase(given);
      global_args_.Delete(name);
    }
  }
  for (const auto& [key, use] : outline_.all_args) known_args_.insert(key);
  for (std::string& key : global_args_.Keys()) known_args_.insert(std::move(key));
  return OkStatus();
}

Status Converter::DispatchStages(const std::set<StageState*>& reachable, StageState* target) {
  ASSIGN_OR_RETURN(const std::vector<std::string> patterns,
                   options_.client->DockerIgnorePatterns());
  PatternList ignore;
  if (!patterns.empty()) {
    ASSIGN_OR_RETURN(ignore, PatternList::Compile(patterns));
  }
  DispatchContext context{config_,         build_args_,          global_args_,
                          lex_,            build_context_,       target_platform_,
                          ProxyFrom(build_args_), caps_,         options_.source_map,
                          *lint_,          std::move(ignore),    options_.labs};
  for (StageState* stage : table_.stages()) {
    const bool wanted = reachable.contains(stage) && !stage->dispatched;
    if (!wanted && !options_.all_stages) continue;
    RETURN_IF_ERROR(DispatchStage(context, stage));
  }
  target->paths->insert("/");
  return OkStatus();
}

Status Converter::DispatchStage(DispatchContext& context, StageState* stage) {
  stage->Inherit();
  stage->dispatched = true;
  RETURN_IF_ERROR(context.Spend(DispatchContext::kVariableSize *
                                (stage->image.config.env.size() + stage->build_args.size())));
  if (!stage->platform) stage->platform = target_platform_;
  std::vector<std::string>& env = stage->image.config.env;
  // Windows finds its PATH itself.
  if (stage->platform->os != "windows" && !ListEnv(env).Get("PATH")) {
    env.push_back("PATH=" + DefaultPathEnv(stage->platform->os));
  }
  for (const std::string& pair : env) {
    std::string_view key, value;
    StrCut(pair, "=", &key, &value);
    stage->state.SetEnv(key, std::string(value));
  }
  if (!config_.hostname.empty()) stage->state.mutable_meta().hostname = config_.hostname;
  Dispatcher dispatcher(context, *stage);
  if (Status status = dispatcher.ApplyBaseConfig(); !status.ok()) {
    return WithLocation(status, stage->stage.location);
  }
  stage->state.mutable_meta().network = config_.network;
  for (StageCommand& command : stage->commands) {
    if (Status status = dispatcher.Dispatch(command); !status.ok()) {
      return WithLocation(status, BaseOf(command.command).location);
    }
  }
  context_paths_.insert(stage->ctx_paths.begin(), stage->ctx_paths.end());
  ReadScanArgs(stage);
  return OkStatus();
}

void Converter::ReadScanArgs(StageState* stage) const {
  auto enabled = [&](const char* name) {
    bool on = false;
    if (std::optional<std::string> value = global_args_.Get(name)) {
      on = EnabledForStage(stage->stage_name, *value);
    }
    for (const ArgPair& arg : stage->build_args) {
      if (arg.key == name && arg.value) on = EnabledForStage(stage->stage_name, *arg.value);
    }
    return on;
  };
  if (enabled("BUILDKIT_SBOM_SCAN_CONTEXT")) stage->scan_context = true;
  if (enabled("BUILDKIT_SBOM_SCAN_STAGE")) stage->scan_stage = true;
}

Status Converter::Finalize(StageState* target) {
  for (const auto& [key, value] : config_.labels) target->image.config.labels[key] = value;
  RETURN_IF_ERROR(lint_->Error());
  ASSIGN_OR_RETURN(const llb::State main,
                   options_.client->MainContext(FollowPathsOf(context_paths_)));
  *context_output_ = main.output();
  Platform& platform = target->image.platform;
  if (!implicit_target_) {
    const Platform& wanted = target_platform_;
    const bool same = wanted.os == platform.os && wanted.architecture == platform.architecture;
    platform.os = wanted.os;
    platform.architecture = wanted.architecture;
    if (!wanted.variant.empty() || !same) platform.variant = wanted.variant;
    if (!wanted.os_version.empty() || !same) platform.os_version = wanted.os_version;
    if (!wanted.os_features.empty()) platform.os_features = wanted.os_features;
  }
  platform = NormalizePlatform(platform);
  return OkStatus();
}

StatusOr<ConvertResult> Convert(const ConvertOptions& options) {
  Converter converter(options);
  ASSIGN_OR_RETURN(StageState* const target, converter.Run());
  ConvertResult result;
  result.state = target->state;
  result.marshal = converter.marshal();
  result.base_image = target->base_image;
  result.epoch = target->epoch;
  result.ignore_cache = target->ignore_cache;
  if (target->scan_context) result.scan_extras["context"] = converter.build_context();
  for (const StageState* stage : ReachableStages(target)) {
    if (stage == target || !stage->scan_stage) continue;
    result.scan_extras[stage->stage_name] = stage->state;
    result.ignore_cache = result.ignore_cache || stage->ignore_cache;
  }
  std::vector<oci::History> history = FullHistory(*target);
  result.image = std::move(target->image);
  result.image.history = std::move(history);
  return result;
}

}  // namespace kiln::dockerfile
