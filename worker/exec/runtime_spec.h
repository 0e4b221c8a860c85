// The OCI runtime spec (config.json) of a build step.
//
// Pure: everything that depends on the machine comes in through SpecInput, so
// that a test can compare the outcome with what the reference writes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cache/mount.h"
#include "worker/cdi/cdi_spec.h"
#include "worker/exec/executor.h"

namespace kiln::worker::exec {

struct SpecMount {
  std::string destination;
  cache::Mount mount;
};

struct ContainerUser {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> additional_gids = {};
};

// The network namespace of a container: the host's, a new one, or one that exists.
struct NetworkNamespace {
  bool host = true;
  std::string path = {};  // "" with !host: the runtime makes one
};

// Versions of OCI's runtime spec: the one that ours follows, and one that old runtimes know.
inline constexpr const char* kSpecVersion = "1.3.0";
inline constexpr const char* kOldSpecVersion = "1.0.2";

struct SpecInput {
  const char* version = kSpecVersion;
  std::string id;
  const ProcessMeta* meta = nullptr;
  ContainerUser user = {};
  std::string root_path;
  std::string hosts_file;
  std::string resolv_conf;
  NetworkNamespace network = {};
  std::vector<SpecMount> mounts = {};     // in the order in which they are made
  const cdi::ContainerEdits* edits = nullptr;  // of its devices; may be null
  std::string cgroup_parent = {};         // the daemon's; the step's own wins
  std::string apparmor_profile = {};
  std::string architecture = "amd64";
  std::string tracing_socket = {};        // "": no tracing
  std::string traceparent = {};
  std::vector<std::string> host_capabilities = {};  // for insecure steps
  int64_t free_loop_device = 0;           // for insecure steps
  // Options that bind mounts of a path must repeat; set in a user namespace.
  std::function<std::vector<std::string>(const std::string&)> locked_options = {};
  bool in_user_namespace = false;
  bool seccomp = true;
  bool cgroup_namespace = false;
  bool no_process_sandbox = false;
  bool rootless = false;
};

// The cgroup path of the step, "" if rootless.
std::string CgroupsPath(const SpecInput& input);
// One JSON document with a newline.
std::string MakeRuntimeSpec(const SpecInput& input);
// The process for `runc exec`: the one of the container's own spec with what `meta`
// says instead; `user` only if given. INTERNAL if the spec cannot be read.
StatusOr<std::string> MakeExecProcess(const std::string& spec, const ProcessMeta& meta,
                                      const std::optional<ContainerUser>& user);

}  // namespace kiln::worker::exec
