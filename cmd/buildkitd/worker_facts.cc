// See worker_facts.h.
#include "cmd/buildkitd/worker_facts.h"

#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/strings.h"
#include "cmd/buildkitd/gc_defaults.h"
#include "cmd/buildkitd/snapshotter_probe.h"
#include "cmd/buildkitd/version.h"
#include "worker/exec/runnable_platforms.h"

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

// Those of the configuration, then what else the machine runs.
StatusOr<std::vector<Platform>> PlatformsOf(const std::vector<std::string>& given) {
  const std::vector<Platform>& runnable = worker::exec::RunnablePlatforms();
  if (given.empty()) return runnable;
  std::vector<Platform> platforms;
  for (const std::string& text : given) {
    auto platform = ParsePlatform(text);
    if (!platform.ok()) return Annotate(platform.status(), "invalid platforms");
    platforms.push_back(NormalizePlatform(*platform));
  }
  const size_t configured = platforms.size();
  for (const Platform& also : runnable) {
    auto end = platforms.begin() + static_cast<std::ptrdiff_t>(configured);
    bool covered = std::any_of(platforms.begin(), end, [&](const Platform& platform) {
      return PlatformMatchesOnly(platform, also);
    });
    if (!covered) platforms.push_back(also);
  }
  return platforms;
}

}  // namespace

StatusOr<std::string> ChooseSnapshotter(const Config& config) {
  const std::string& name = WorkerConfigOf(config).snapshotter;
  if (UsesContainerd(config)) {
    if (!Contains(name, "/")) return name;
    return InvalidArgumentError(StrCat("bad snapshotter name: ", Quote(name)));
  }
  if (const std::string& socket = config.oci.proxy_snapshotter_path; !socket.empty()) {
    if (PathExists(socket)) return name;
    return NotFoundError(StrCat("snapshotter doesn't exist on ", Quote(socket),
                                " (Do not include 'unix://' prefix): stat ", socket,
                                ": no such file or directory"));
  }
  if (name.empty() || name == "auto") return ProbeSnapshotter(config.root);
  for (std::string_view known : {"overlayfs", "native", "fuse-overlayfs", "stargz"}) {
    if (name == known) return name;
  }
  return InvalidArgumentError(StrCat("unknown snapshotter name: ", Quote(name)));
}

// What the reference logs of its workers when it starts; people and scripts look for it.
void TellWorkers(const api::WorkerFacts& facts) {
  std::vector<std::string> labels, platforms;
  for (const auto& [key, value] : facts.labels) labels.push_back(StrCat(key, ":", value));
  for (const Platform& platform : facts.platforms) platforms.push_back(FormatPlatform(platform));
  log::Info(StrCat("found worker ", Quote(facts.id), ", labels=map[", StrJoin(labels, " "),
                   "], platforms=[", StrJoin(platforms, " "), "]"));
  log::Info(StrCat("found 1 workers, default=", Quote(facts.id)));
  log::Warning("currently, only the default worker can be used.");
}

Status SettleWorkers(Config* config) {
  std::optional<bool>& oci = config->oci.enabled;
  std::optional<bool>& containerd = config->containerd.enabled;
  if (!oci) {
    oci = !config->oci.binary.empty() || LookPath("runc").ok() || LookPath("buildkit-runc").ok();
    if (!*oci) log::Warning("skipping oci worker, as runc does not exist");
  }
  if (!containerd) {
    const std::string socket(TrimPrefix(config->containerd.address, "unix://"));
    containerd = PathExists(socket);
    if (!*containerd) {
      log::Warning(StrCat("skipping containerd worker, as ", Quote(socket), " does not exist"));
    }
  }
  if (*oci || *containerd) return OkStatus();
  return UnavailableError("no worker found, rebuild the buildkit daemon?");
}

bool UsesContainerd(const Config& config) {
  return !config.oci.enabled.value_or(true) && config.containerd.enabled.value_or(true);
}

const WorkerConfig& WorkerConfigOf(const Config& config) {
  return UsesContainerd(config) ? config.containerd : config.oci;
}

StatusOr<api::WorkerFacts> WorkerFactsOf(const Config& config, const std::string& snapshotter) {
  api::WorkerFacts facts;
  const WorkerConfig& worker = WorkerConfigOf(config);
  ASSIGN_OR_RETURN(facts.id, WorkerId(config.root));
  auto label = [&](std::string_view name, std::string value) {
    facts.labels[StrCat(kLabelPrefix, name)] = std::move(value);
  };
  std::string network = worker.network.mode == "bridge" ? "cni" : worker.network.mode;
  if (network.empty() || network == "auto") {
    network = PathExists(worker.network.cni_config_path) ? "cni" : "host";
  }
  if (UsesContainerd(config)) {
    label("executor", "containerd");
    label("containerd.namespace", worker.containerd_namespace);
  } else {
    label("executor", "oci");
    label("oci.process-mode", worker.no_process_sandbox ? "no-sandbox" : "sandbox");
  }
  label("hostname", Hostname());
  label("network", network);
  label("selinux.enabled", worker.selinux ? "true" : "false");
  label("snapshotter", snapshotter);
  if (!worker.apparmor_profile.empty()) label("apparmor.profile", worker.apparmor_profile);
  for (const auto& [name, value] : worker.labels) facts.labels[name] = value;
  ASSIGN_OR_RETURN(facts.platforms, PlatformsOf(worker.platforms));
  for (const GcRule& rule : GcRules(worker.gc, config.root)) {
    facts.gc_policy.push_back({.filters = rule.filters,
                               .all = rule.all,
                               .keep_duration_nanos = rule.keep_duration,
                               .reserved_bytes = rule.reserved_bytes,
                               .max_used_bytes = rule.max_used_bytes,
                               .min_free_bytes = rule.min_free_bytes});
  }
  TellWorkers(facts);
  return facts;
}

api::Version DaemonVersion() {
  return {std::string(VersionPackage()), std::string(Version()), std::string(VersionRevision()),
          std::string(kDockerfileVersion)};
}

}  // namespace kiln::buildkitd
