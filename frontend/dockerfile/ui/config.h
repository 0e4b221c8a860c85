// Config: what the attributes of a build ask of a Dockerfile frontend.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/platform.h"
#include "base/status.h"
#include "frontend/bridge.h"
#include "frontend/dockerfile/lint/linter.h"
#include "llb/source.h"
#include "llb/state.h"

namespace kiln::dockerfile {

struct Sbom {
  std::string generator;  // image
  std::map<std::string, std::string> parameters;
};

// A plain value.
struct Config {
  std::map<std::string, std::string> build_args;
  std::map<std::string, std::string> labels;
  std::string cache_id_namespace;
  std::string cgroup_parent;
  std::vector<llb::HostIp> extra_hosts;
  std::string hostname;
  llb::ResolveMode resolve_mode = llb::ResolveMode::kDefault;
  llb::NetMode network = llb::NetMode::kSandbox;
  int64_t shm_size = 0;
  std::string target;
  std::vector<llb::Ulimit> ulimits;
  std::optional<llb::LinuxResources> linux_resources;
  std::optional<LintConfig> lint;
  std::vector<frontend::CacheImport> cache_imports;
  std::vector<Platform> target_platforms;  // empty: the build platform
  std::vector<Platform> build_platforms;   // never empty
  bool multi_platform = false;
  std::optional<Sbom> sbom;
  std::optional<std::vector<std::string>> no_cache;  // stages; set but empty: all
};

// Reads the attributes and sets those that stand for others ("multi-platform",
// "hostname"). UNKNOWN in the reference's words.
StatusOr<Config> ParseConfig(frontend::StringMap* opts,
                             const std::vector<frontend::WorkerInfo>& workers);

// Entries of `opts` under `prefix`, without it.
std::map<std::string, std::string> WithPrefix(const frontend::StringMap& opts,
                                              std::string_view prefix);

}  // namespace kiln::dockerfile
