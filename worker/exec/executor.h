// Executor: runs one process in a container made by runc.
//
// Makes the bundle (spec, hosts, resolv.conf, root mount), calls the runtime and
// cleans up. What the mounts are made of is decided in worker/op.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cache/mount.h"
#include "worker/cdi/cdi_devices.h"
#include "worker/exec/step_usage.h"

namespace kiln::worker::proxy {
struct ProxyConfig;  // worker/proxy/proxy_config.h
}

namespace kiln::worker::exec {

enum class NetMode { kDefault = 0, kHost = 1, kNone = 2 };

struct DnsOptions {
  std::vector<std::string> nameservers = {};
  std::vector<std::string> options = {};
  std::vector<std::string> search_domains = {};
};

struct ExecutorOptions {
  std::string root = {};                  // bundles, shared hosts and resolv.conf
  std::string binary = {};                // empty: buildkit-runc, then runc
  std::string network_mode = "auto";      // auto | bridge | cni | host
  std::string cni_config_path = "/etc/buildkit/cni.json";
  std::string cni_binary_dir = "/opt/cni/bin";
  size_t cni_pool_size = 0;               // namespaces made ahead
  std::string bridge_name = "buildkit0";
  std::string bridge_subnet = "10.10.0.0/16";
  std::optional<DnsOptions> dns = {};
  std::string cgroup_parent = {};
  std::string apparmor_profile = {};
  bool selinux = false;
  bool rootless = false;
  bool no_process_sandbox = false;
  std::string tracing_socket = {};        // bound into every step if set
  const cdi::CdiDevices* cdi = nullptr;   // null: there are no devices
};

struct HostIp {
  std::string host;
  std::string ip;
};

struct Ulimit {
  std::string name;
  int64_t soft = 0;
  int64_t hard = 0;
};

// Cgroup limits; zero and "" mean "not set".
struct Limits {
  int64_t memory = 0;
  int64_t memory_swap = 0;
  uint64_t cpu_shares = 0;
  uint64_t cpu_period = 0;
  int64_t cpu_quota = 0;
  std::string cpuset_cpus = {};
  std::string cpuset_mems = {};
};

struct ProcessMeta {
  std::vector<std::string> args = {};
  std::vector<std::string> env = {};
  std::string user = {};
  std::string cwd = {};
  std::string hostname = {};
  bool readonly_root = false;
  std::vector<HostIp> extra_hosts = {};
  std::vector<Ulimit> ulimits = {};
  std::string cgroup_parent = {};
  std::optional<Limits> limits = {};
  NetMode network = NetMode::kDefault;
  // Not null: the network is reached through a proxy only, which reaches it as `network` says.
  std::shared_ptr<const proxy::ProxyConfig> proxy = {};
  bool insecure = false;
  bool remove_stubs_recursive = false;
  bool tty = false;                        // a terminal; only for attached processes
  bool secret_env = false;                 // `env` has secrets: it is written to no disk
  std::vector<int> valid_exit_codes = {};  // empty: only 0
  std::vector<cdi::DeviceRequest> devices = {};  // as granted
  // Told once, when the process has ended, where the machine counts what a step uses.
  std::function<void(StepUsage)> on_usage = {};
};

// A mount of the container, made when the container is.
struct ContainerMount {
  std::function<StatusOr<cache::MountLease>()> source;
  std::string selector = {};
  std::string dest = {};
  bool readonly = false;
};

// Bytes of stream 1 (stdout) or 2 (stderr), in order of arrival. Called on the thread of Run.
using OutputFn = std::function<void(int stream, std::string_view bytes)>;

class ProcessControl;  // process_control.h

// A process with descriptors of its caller instead of an OutputFn. They are borrowed
// until the call returns; -1 is /dev/null. With a terminal they are its slave end.
struct Attachment {
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  ProcessControl* control = nullptr;  // told when the process starts and ends; may be null
};

// Type URL of the detail that carries an exit code (gateway's ExitMessage).
inline constexpr std::string_view kExitMessageUrl =
    "github.com/moby/buildkit/gatewayapi.ExitMessage+json";
// The exit code that a status carries, if it does.
std::optional<uint32_t> ExitCodeOf(const Status& status);

// Thread-safe; Run blocks for as long as the process runs.
class Executor {
 public:
  virtual ~Executor() = default;
  // OK when the process ended with a valid exit code. A stop request kills the
  // container. Nothing of it is left when Run returns.
  virtual Status Run(const ContainerMount& root, const std::vector<ContainerMount>& mounts,
                     const ProcessMeta& meta, const OutputFn& output, std::stop_token stop) = 0;
  // The same for an attached process. `id` (letters and digits) names the container for
  // Exec meanwhile. The exit is what the process made of it, unless `stop` fired.
  virtual Status RunAttached(const std::string& id, const ContainerMount& root,
                             const std::vector<ContainerMount>& mounts, const ProcessMeta& meta,
                             const Attachment& attachment, std::stop_token stop) = 0;
  // One more process in the container `id`, once that runs. Only args, env, cwd, user and
  // tty of `meta` count. "container X not found", "container X has stopped".
  virtual Status Exec(const std::string& id, const ProcessMeta& meta,
                      const Attachment& attachment, std::stop_token stop) = 0;
};

// Finds the runtime, removes what an earlier process left, sets up the network.
StatusOr<std::unique_ptr<Executor>> OpenRuncExecutor(const ExecutorOptions& options);

}  // namespace kiln::worker::exec
