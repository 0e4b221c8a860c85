// One attribute after the other, in the order in which the reference reads them:
// with several mistakes the first one is reported.
#include "frontend/dockerfile/ui/config.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "frontend/dockerfile/ui/attrs.h"

namespace kiln::dockerfile {
namespace {

std::string Get(const frontend::StringMap& opts, const std::string& key) {
  auto found = opts.find(key);
  return found == opts.end() ? "" : found->second;
}

Status ReadPlatforms(const frontend::StringMap& opts,
                     const std::vector<frontend::WorkerInfo>& workers, Config* config) {
  config->build_platforms = {!workers.empty() && !workers[0].platforms.empty()
                                 ? workers[0].platforms[0]
                                 : NormalizePlatform(DefaultPlatform())};
  const std::string text = Get(opts, "platform");
  if (text.empty()) return OkStatus();
  ASSIGN_OR_RETURN(config->target_platforms, ParsePlatforms(text));
  return OkStatus();
}

Status ReadLimits(const frontend::StringMap& opts, Config* config) {
  StatusOr<std::vector<llb::HostIp>> hosts = ParseExtraHosts(Get(opts, "add-hosts"));
  if (!hosts.ok()) return Annotate(hosts.status(), "failed to parse additional hosts");
  config->extra_hosts = *std::move(hosts);
  if (const std::string text = Get(opts, "shm-size"); !text.empty()) {
    StatusOr<int64_t> size = ParseGoInt(text);
    if (!size.ok()) return Annotate(size.status(), "failed to parse shm size");
    config->shm_size = *size;
  }
  StatusOr<std::vector<llb::Ulimit>> ulimits = ParseUlimits(Get(opts, "ulimit"));
  if (!ulimits.ok()) return Annotate(ulimits.status(), "failed to parse ulimit");
  config->ulimits = *std::move(ulimits);
  StatusOr<std::optional<llb::LinuxResources>> resources = ParseLinuxResources(opts);
  if (!resources.ok()) return Annotate(resources.status(), "failed to parse resource limits");
  config->linux_resources = *std::move(resources);
  ASSIGN_OR_RETURN(config->network, ParseNetMode(Get(opts, "force-network-mode")));
  return OkStatus();
}

Status ReadMultiPlatform(frontend::StringMap* opts, Config* config) {
  config->multi_platform = config->target_platforms.size() > 1;
  if (const std::string text = Get(*opts, "build-arg:BUILDKIT_MULTI_PLATFORM"); !text.empty()) {
    (*opts)["multi-platform"] = text;
  }
  const std::string text = Get(*opts, "multi-platform");
  if (text.empty()) return OkStatus();
  bool wanted = false;
  if (!ParseBool(text, &wanted)) {
    return UnknownError(StrCat("invalid boolean value for multi-platform: ", text));
  }
  if (!wanted && config->multi_platform) {
    return UnknownError("conflicting config: returning multiple target platforms is not allowed");
  }
  config->multi_platform = wanted;
  return OkStatus();
}

Status ReadCacheImports(const frontend::StringMap& opts, Config* config) {
  if (const std::string text = Get(opts, "cache-imports"); !text.empty()) {
    const nlohmann::json entries = nlohmann::json::parse(text, nullptr, false);
    if (!entries.is_array()) {
      return UnknownError(
          StrCat("failed to unmarshal cache-imports (", Quote(text), "): invalid JSON"));
    }
    for (const auto& entry : entries) {
      if (!entry.is_object()) continue;
      frontend::CacheImport import;
      for (const auto& [key, value] : entry.items()) {
        if (ToLower(key) == "type" && value.is_string()) import.type = value.get<std::string>();
        if (ToLower(key) != "attrs" || !value.is_object()) continue;
        for (const auto& [name, attr] : value.items()) {
          if (attr.is_string()) import.attrs[name] = attr.get<std::string>();
        }
      }
      config->cache_imports.push_back(std::move(import));
    }
  }
  if (const std::string text = Get(opts, "cache-from"); !text.empty()) {
    for (std::string_view reference : StrSplit(text, ',')) {
      config->cache_imports.push_back({"registry", {{"ref", std::string(reference)}}});
    }
  }
  return OkStatus();
}

}  // namespace

std::map<std::string, std::string> WithPrefix(const frontend::StringMap& opts,
                                              std::string_view prefix) {
  std::map<std::string, std::string> found;
  for (auto entry = opts.lower_bound(std::string(prefix));
       entry != opts.end() && entry->first.starts_with(prefix); ++entry) {
    found[entry->first.substr(prefix.size())] = entry->second;
  }
  return found;
}

StatusOr<Config> ParseConfig(frontend::StringMap* opts,
                             const std::vector<frontend::WorkerInfo>& workers) {
  Config config;
  RETURN_IF_ERROR(ReadPlatforms(*opts, workers, &config));
  ASSIGN_OR_RETURN(config.resolve_mode, ParseResolveMode(Get(*opts, "image-resolve-mode")));
  RETURN_IF_ERROR(ReadLimits(*opts, &config));
  if (auto no_cache = opts->find("no-cache"); no_cache != opts->end()) {
    config.no_cache.emplace();
    if (!no_cache->second.empty()) {
      for (std::string_view stage : StrSplit(no_cache->second, ',')) {
        config.no_cache->emplace_back(stage);
      }
    }
  }
  RETURN_IF_ERROR(ReadMultiPlatform(opts, &config));
  RETURN_IF_ERROR(ReadCacheImports(*opts, &config));
  ASSIGN_OR_RETURN(config.sbom, ParseSbom(*opts));
  config.build_args = WithPrefix(*opts, "build-arg:");
  config.labels = WithPrefix(*opts, "label:");
  config.cache_id_namespace = Get(*opts, "build-arg:BUILDKIT_CACHE_MOUNT_NS");
  config.cgroup_parent = Get(*opts, "cgroup-parent");
  config.target = Get(*opts, "target");
  if (const std::string text = Get(*opts, "build-arg:BUILDKIT_SANDBOX_HOSTNAME"); !text.empty()) {
    (*opts)["hostname"] = text;
  }
  config.hostname = Get(*opts, "hostname");
  if (auto check = opts->find("build-arg:BUILDKIT_DOCKERFILE_CHECK"); check != opts->end()) {
    StatusOr<LintConfig> lint = ParseLintConfig(check->second);
    if (!lint.ok()) {
      return Annotate(lint.status(), "failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK");
    }
    config.lint = *std::move(lint);
  }
  return config;
}

}  // namespace kiln::dockerfile
