#include "frontend/dockerfile/convert/meta_args.h"

#include "frontend/dockerfile/convert/state_env.h"

namespace kiln::dockerfile {
namespace {

// Expands a default; remembers which arguments it was made from.
Status ExpandDefault(const ArgCommand& command, const ShellLex& lex, const llb::EnvList& env,
                     const std::map<std::string, ArgUse>& uses, ArgUse* use) {
  StatusOr<WordResult> result = lex.Process(*use->definition.value, StateEnv(env));
  if (!result.ok()) return WithLocation(result.status(), command.location);
  use->definition.value = std::move(result->word);
  use->deps = std::move(result->matched);
  const std::string& key = use->definition.key;
  if (use->deps.erase(key) == 0) return OkStatus();
  // ARG a=$a-x stands for whatever the earlier a stood for.
  if (auto old = uses.find(key); old != uses.end()) {
    use->deps.insert(old->second.deps.begin(), old->second.deps.end());
  }
  return OkStatus();
}

}  // namespace

llb::EnvList DefaultArgs(const Platform& build, const Platform& target,
                         const std::map<std::string, std::string>& build_args,
                         const std::string& target_stage) {
  const std::pair<const char*, std::string> defaults[] = {
      {"BUILDPLATFORM", FormatPlatform(build)},
      {"BUILDOS", build.os},
      {"BUILDOSVERSION", build.os_version},
      {"BUILDARCH", build.architecture},
      {"BUILDVARIANT", build.variant},
      {"TARGETPLATFORM", FormatPlatformAll(target)},
      {"TARGETOS", target.os},
      {"TARGETOSVERSION", target.os_version},
      {"TARGETARCH", target.architecture},
      {"TARGETVARIANT", target.variant},
      {"TARGETSTAGE", target_stage.empty() ? "default" : target_stage},
  };
  llb::EnvList env;
  for (const auto& [key, value] : defaults) {
    auto given = build_args.find(key);
    env.Set(key, given == build_args.end() ? value : given->second);
  }
  return env;
}

Status BuildMetaArgs(const std::vector<ArgCommand>& commands,
                     const std::map<std::string, std::string>& build_args, const ShellLex& lex,
                     llb::EnvList* env, std::map<std::string, ArgUse>* uses) {
  for (const ArgCommand& command : commands) {
    for (const ArgPair& arg : command.args) {
      ArgUse use{"", arg, {}, command.location};
      auto given = build_args.find(arg.key);
      if (given != build_args.end()) {
        use.definition.value = given->second;
      } else if (arg.value) {
        RETURN_IF_ERROR(ExpandDefault(command, lex, *env, *uses, &use));
      }
      if (use.definition.value) {
        use.value = *use.definition.value;
        env->Set(arg.key, use.value);
      }
      (*uses)[arg.key] = std::move(use);
    }
  }
  return OkStatus();
}

}  // namespace kiln::dockerfile
