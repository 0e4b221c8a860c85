// See worker_facts.h.
#include "cmd/buildkitd/worker_facts.h"

#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "cmd/buildkitd/gc_defaults.h"
#include "cmd/buildkitd/snapshotter_probe.h"
#include "cmd/buildkitd/version.h"

namespace kiln::buildkitd {
namespace {

constexpr std::string_view kLabelPrefix = "org.mobyproject.buildkit.worker.";
// The Dockerfile frontend that comes with the reference version we follow.
constexpr std::string_view kDockerfileVersion = "1.26.0";

StatusOr<std::string> WorkerId(const std::string& root) {
  std::string path = JoinPath(root, "workerid");
  auto id = ReadFile(path);
  if (id.ok() && !id->empty()) return id;
  std::string fresh = NewId();
  RETURN_IF_ERROR(WriteFileAtomic(path, fresh, 0400));
  return fresh;
}

std::string Hostname() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

// Levels of x86-64 above the base that this machine has.
std::vector<std::string> Amd64Variants() {
  std::vector<std::string> variants;
  bool v2 = __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1") &&
            __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
            __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
  bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl");
  if (v2) variants.push_back("v2");
  if (v3) variants.push_back("v3");
  if (v4) variants.push_back("v4");
  return variants;
}

StatusOr<std::vector<Platform>> PlatformsOf(const std::vector<std::string>& given) {
  std::vector<Platform> platforms;
  for (const std::string& text : given) {
    auto platform = ParsePlatform(text);
    if (!platform.ok()) return Annotate(platform.status(), "invalid platforms");
    platforms.push_back(NormalizePlatform(*platform));
  }
  if (platforms.empty()) platforms.push_back(DefaultPlatform());
  std::vector<Platform> all;
  for (const Platform& platform : platforms) {
    if (std::find(all.begin(), all.end(), platform) == all.end()) all.push_back(platform);
    if (platform.architecture != "amd64" || !platform.variant.empty()) continue;
    for (const std::string& variant : Amd64Variants()) {
      Platform with = platform;
      with.variant = variant;
      if (std::find(platforms.begin(), platforms.end(), with) == platforms.end()) {
        all.push_back(with);
      }
    }
  }
  return all;
}

}  // namespace

StatusOr<std::string> ChooseSnapshotter(const std::string& name, const std::string& root) {
  if (name.empty() || name == "auto") return ProbeSnapshotter(root);
  if (name == "overlayfs" || name == "native" || name == "fuse-overlayfs") return name;
  return InvalidArgumentError(StrCat("unknown snapshotter name: ", Quote(name)));
}

// What the reference logs of its workers when it starts; people and scripts look for it.
void TellWorkers(const api::WorkerFacts& facts, const Config& config) {
  std::vector<std::string> labels, platforms;
  for (const auto& [key, value] : facts.labels) labels.push_back(StrCat(key, ":", value));
  for (const Platform& platform : facts.platforms) platforms.push_back(FormatPlatform(platform));
  log::Info(StrCat("found worker ", Quote(facts.id), ", labels=map[", StrJoin(labels, " "),
                   "], platforms=[", StrJoin(platforms, " "), "]"));
  if (config.containerd.enabled.value_or(true) && !PathExists(config.containerd.address)) {
    log::Warning(StrCat("skipping containerd worker, as ", Quote(config.containerd.address),
                        " does not exist"));
  }
  log::Info(StrCat("found 1 workers, default=", Quote(facts.id)));
  log::Warning("currently, only the default worker can be used.");
}

StatusOr<api::WorkerFacts> WorkerFactsOf(const Config& config, const std::string& snapshotter) {
  api::WorkerFacts facts;
  ASSIGN_OR_RETURN(facts.id, WorkerId(config.root));
  auto label = [&](std::string_view name, std::string value) {
    facts.labels[StrCat(kLabelPrefix, name)] = std::move(value);
  };
  std::string network = config.oci.network.mode;
  if (network.empty() || network == "auto") {
    network = PathExists(config.oci.network.cni_config_path) ? "cni" : "host";
  }
  label("executor", "oci");
  label("hostname", Hostname());
  label("network", network);
  label("oci.process-mode", config.oci.no_process_sandbox ? "no-sandbox" : "sandbox");
  label("selinux.enabled", config.oci.selinux ? "true" : "false");
  label("snapshotter", snapshotter);
  if (!config.oci.apparmor_profile.empty()) label("apparmor.profile", config.oci.apparmor_profile);
  for (const auto& [name, value] : config.oci.labels) facts.labels[name] = value;
  ASSIGN_OR_RETURN(facts.platforms, PlatformsOf(config.oci.platforms));
  for (const GcRule& rule : GcRules(config.oci.gc, config.root)) {
    facts.gc_policy.push_back({.filters = rule.filters,
                               .all = rule.all,
                               .keep_duration_nanos = rule.keep_duration,
                               .reserved_bytes = rule.reserved_bytes,
                               .max_used_bytes = rule.max_used_bytes,
                               .min_free_bytes = rule.min_free_bytes});
  }
  TellWorkers(facts, config);
  return facts;
}

api::Version DaemonVersion() {
  return {std::string(VersionPackage()), std::string(Version()), std::string(VersionRevision()),
          std::string(kDockerfileVersion)};
}

}  // namespace kiln::buildkitd
