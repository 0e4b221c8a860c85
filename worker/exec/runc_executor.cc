// The executor over runc: one bundle per step under <root>/<id>.
//
// The folder is made before anything is mounted in it, so that the next start
// finds and removes what a crash left. `runc run` goes with --keep where the step's
// cgroup is to be read in the end; what then stays of the container (cgroup, state) is
// removed here, which saves a second start of runc per step.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>

#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/rooted.h"
#include "base/strings.h"
#include "base/trace.h"
#include "base/user_namespace.h"
#include "worker/exec/container_mounts.h"
#include "worker/exec/container_process.h"
#include "worker/exec/container_runtime.h"
#include "worker/exec/container_user.h"
#include "worker/exec/executor.h"
#include "worker/exec/host_facts.h"
#include "worker/exec/host_files.h"
#include "worker/exec/mount_stubs.h"
#include "worker/exec/network.h"
#include "worker/exec/process_control.h"
#include "worker/exec/proxied_network.h"
#include "worker/exec/running_containers.h"
#include "worker/exec/runtime_check.h"
#include "worker/exec/runtime_file.h"
#include "worker/exec/runtime_spec.h"
#include "worker/exec/step_cgroup.h"
#include "worker/exec/usage_monitor.h"
#include "worker/proxy/proxy_config.h"

namespace kiln::worker::exec {
namespace {

std::string RandomTraceparent() {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  std::string bytes(24, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  std::string hex = HexEncode(bytes);
  return StrCat("00-", hex.substr(0, 32), "-", hex.substr(32, 16), "-01");
}

// The folder of one step and the root mount in it; gone in the destructor.
class Bundle {
 public:
  static StatusOr<std::unique_ptr<Bundle>> Make(const std::string& path) {
    if (::mkdir(path.c_str(), 0711) != 0) {
      return ErrnoStatus(errno, StrCat("mkdir ", path));
    }
    return std::unique_ptr<Bundle>(new Bundle(path));
  }
  ~Bundle() {
    if (mounted_) cache::UnmountAll(rootfs()).IgnoreError();
    // What is in it most often, without looking.
    for (const char* name : {"config.json", "hosts", "log.json", kPidFile}) {
      ::unlink(JoinPath(path_, name).c_str());
    }
    ::rmdir(rootfs().c_str());
    if (::rmdir(path_.c_str()) == 0) return;
    Status removed = RemoveAll(path_);
    if (!removed.ok()) log::Warning(StrCat("remove bundle: ", removed.message()));
  }

  Status MountRoot(const std::vector<cache::Mount>& mounts) {
    RETURN_IF_ERROR(MakeDirs(rootfs(), 0700));
    mounted_ = true;
    return cache::MountAll(mounts, rootfs());
  }
  const std::string& path() const { return path_; }
  std::string rootfs() const { return JoinPath(path_, "rootfs"); }

 private:
  explicit Bundle(std::string path) : path_(std::move(path)) {}
  std::string path_;
  bool mounted_ = false;
};

// WORKDIR of the step: missing folders are the step's user's.
Status MakeWorkingDir(const RootedTree& tree, const std::string& cwd, const ContainerUser& user) {
  if (tree.Stat(cwd).ok()) {
    return OkStatus();
  }
  StatusOr<std::string> resolved = tree.Resolve(cwd);
  if (!resolved.ok()) {
    return Annotate(resolved.status(), StrCat("working dir ", cwd, " points to invalid target"));
  }
  Status made = tree.MakeDirs(*resolved, 0755, [&](int fd, const std::string& path) -> Status {
    return ::fchown(fd, user.uid, user.gid) == 0 ? OkStatus()
                                                 : ErrnoStatus(errno, StrCat("chown ", path));
  });
  return Annotate(made, StrCat("failed to create working directory ", cwd));
}

// Why the step failed, with its exit code as typed detail; OK if the code is a valid one.
Status ExitStatus(const RuntimeExit& exit, const std::vector<int>& valid,
                  const std::optional<OomKill>& oom = {}) {
  bool ok = valid.empty() ? exit.code == 0
                          : std::find(valid.begin(), valid.end(), exit.code) != valid.end();
  if (ok && !exit.stopped) {
    return OkStatus();
  }
  std::string text = oom ? OomText(*oom) : StrCat("exit code: ", exit.code);
  if (exit.stopped) text += ": context canceled: context canceled";
  Status status(exit.stopped ? StatusCode::kCancelled : StatusCode::kUnknown, std::move(text));
  // ExitMessage{uint32 Code = 1}: one varint.
  std::string bytes;
  if (uint32_t code = static_cast<uint32_t>(exit.code); code != 0) {
    bytes.push_back(0x08);
    for (; code >= 0x80; code >>= 7) bytes.push_back(static_cast<char>((code & 0x7f) | 0x80));
    bytes.push_back(static_cast<char>(code));
  }
  status.AddDetail(kExitMessageUrl, std::move(bytes));
  return Traced(std::move(status));
}

// Whether the last sample says that the kernel killed something of the step.
bool WasKilled(const StepUsage& usage) {
  return !usage.samples.empty() && usage.samples.back().memory &&
         usage.samples.back().memory->Value("oomKillEvents") != 0;
}

bool IsPlainId(std::string_view id) {
  return !id.empty() && id.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz"
                                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ") ==
                            std::string_view::npos;
}

class BundleExecutor : public Executor {
 public:
  BundleExecutor(ExecutorOptions options, std::unique_ptr<ContainerRuntime> runtime, HostFacts facts,
               std::unique_ptr<NetworkProvider> network, const char* spec_version)
      : options_(std::move(options)),
        runtime_(std::move(runtime)),
        facts_(std::move(facts)),
        default_network_(std::move(network)),
        spec_version_(spec_version),
        proxy_(options_.root),
        resolv_conf_(options_.root, options_.dns) {}

  Status Run(const ContainerMount& root, const std::vector<ContainerMount>& mounts,
             const ProcessMeta& meta, const OutputFn& output, std::stop_token stop) override {
    return RunAs({.id = NewId(), .output = &output}, root, mounts, meta, std::move(stop));
  }

  Status RunAttached(const std::string& id, const ContainerMount& root,
                     const std::vector<ContainerMount>& mounts, const ProcessMeta& meta,
                     const Attachment& attachment, std::stop_token stop) override {
    if (!IsPlainId(id)) {
      return UnknownError(StrCat("invalid container id ", Quote(id),
                                 ": only letters and numbers are allowed"));
    }
    running_.Add(id, JoinPath(options_.root, id));
    Status status = RunAs({.id = id, .attachment = &attachment}, root, mounts, meta,
                          std::move(stop));
    running_.Remove(id);
    if (attachment.control != nullptr) attachment.control->Ended();
    return status;
  }

  Status Exec(const std::string& id, const ProcessMeta& meta, const Attachment& attachment,
              std::stop_token stop) override {
    Status status = ExecIn(id, meta, attachment, std::move(stop));
    if (attachment.control != nullptr) attachment.control->Ended();
    return status;
  }

 private:
  // What differs between the two ways to run a container.
  struct RunMode {
    std::string id;
    const OutputFn* output = nullptr;
    const Attachment* attachment = nullptr;
    NetworkCountersFn traffic = {};
  };

  Status RunAs(const RunMode& mode, const ContainerMount& root,
               const std::vector<ContainerMount>& mounts, const ProcessMeta& meta,
               std::stop_token stop) {
    if (stop.stop_requested()) return CancelledError("context canceled");
    // A proxy is told nothing of the step that stands behind it.
    const std::string hostname = meta.proxy == nullptr ? meta.hostname : "";
    ASSIGN_OR_RETURN(std::unique_ptr<NetworkLease> network, Network(meta).New(hostname));
    if (meta.proxy != nullptr) return RunProxied(mode, root, mounts, meta, std::move(network), stop);
    return RunIn(mode, root, mounts, meta, *network, nullptr, std::move(stop));
  }

  Status RunProxied(const RunMode& mode, const ContainerMount& root,
                    const std::vector<ContainerMount>& mounts, const ProcessMeta& meta,
                    std::unique_ptr<NetworkLease> egress, std::stop_token stop) {
    ASSIGN_OR_RETURN(std::unique_ptr<ProxiedNetwork> network,
                     ProxiedNetwork::New(proxy_, *meta.proxy, std::move(egress)));
    ProcessMeta own = meta;
    own.env = network->AddTo(std::move(own.env));
    return RunIn(mode, root, mounts, own, *network, network.get(), std::move(stop));
  }

  // `proxied` is null or `network`.
  Status RunIn(const RunMode& mode, const ContainerMount& root,
               const std::vector<ContainerMount>& mounts, const ProcessMeta& meta,
               const NetworkLease& network, ProxiedNetwork* proxied, std::stop_token stop) {
    const std::string& id = mode.id;
    ASSIGN_OR_RETURN(std::string resolv_conf, resolv_conf_.Get(meta.network));
    ASSIGN_OR_RETURN(cache::MountLease root_lease, root.source());
    ASSIGN_OR_RETURN(std::unique_ptr<Bundle> bundle, Bundle::Make(JoinPath(options_.root, id)));
    const std::string hosts = JoinPath(bundle->path(), "hosts");
    RETURN_IF_ERROR(
        WriteForRuntime(hosts, HostsText(meta.hostname, meta.extra_hosts), false).status());
    RETURN_IF_ERROR(bundle->MountRoot(root_lease.mounts));
    ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(bundle->rootfs()));

    SpecInput input = BaseInput(meta);
    input.id = id;
    input.root_path = runtime_->SpecRoot(bundle->rootfs());
    input.hosts_file = hosts;
    input.resolv_conf = resolv_conf;
    input.network = network.network();
    RunMode own = mode;
    own.traffic = [&network] { return network.Traffic(); };
    if (proxied == nullptr) {
      return RunInBundle(*bundle, tree, mounts, std::move(input), own, std::move(stop));
    }
    std::vector<ContainerMount> all = mounts;
    RETURN_IF_ERROR(proxied->MakeTrusted(tree, bundle->path(), &all));
    Status status = RunInBundle(*bundle, tree, all, std::move(input), own, std::move(stop));
    proxied->EndTrust();
    return status;
  }

  Status ExecIn(const std::string& id, const ProcessMeta& meta, const Attachment& attachment,
                std::stop_token stop) {
    ASSIGN_OR_RETURN(std::string bundle, running_.WaitFor(id, stop));
    const std::string config = JoinPath(bundle, "config.json");
    ASSIGN_OR_RETURN(std::string spec, ReadFile(config));
    // The container's own environment may come along.
    char link[PATH_MAX];
    const bool secret = meta.secret_env || ::readlink(config.c_str(), link, sizeof link) > 0;
    std::optional<ContainerUser> user;
    if (!meta.user.empty()) {
      ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(JoinPath(bundle, "rootfs")));
      ASSIGN_OR_RETURN(user, FindUser(tree, meta.user));
    }
    ASSIGN_OR_RETURN(std::string process, MakeExecProcess(spec, meta, user));
    const std::string base = JoinPath(bundle, StrCat("exec-", NewId()));
    RuntimeCall call{.binary = {},
                     .bundle = bundle,
                     .id = id,
                     .pid_file = base + ".pid",
                     .process_file = base + ".json",
                     .attachment = &attachment,
                     .terminal = meta.tty};
    ASSIGN_OR_RETURN(UniqueFd memory,
                     WriteForRuntime(call.process_file, process, secret));
    StatusOr<RuntimeExit> exit = runtime_->Run(call, {}, std::move(stop));
    ::unlink(call.process_file.c_str());
    ::unlink(call.pid_file.c_str());
    RETURN_IF_ERROR(exit.status());
    return ExitStatus(*exit, meta.valid_exit_codes);
  }

  NetworkProvider& Network(const ProcessMeta& meta) {
    switch (meta.network) {
      case NetMode::kHost:
        return *host_network_;
      case NetMode::kNone:
        return *no_network_;
      default:
        return *default_network_;
    }
  }

  SpecInput BaseInput(const ProcessMeta& meta) const {
    SpecInput input;
    input.version = spec_version_;
    input.meta = &meta;
    input.cgroup_parent = options_.cgroup_parent;
    input.apparmor_profile = options_.apparmor_profile;
    input.architecture = facts_.architecture;
    input.host_capabilities = facts_.capabilities;
    input.in_user_namespace = facts_.in_user_namespace;
    if (facts_.in_user_namespace) input.locked_options = LockedMountOptions;
    input.seccomp = facts_.seccomp;
    input.cgroup_namespace = facts_.cgroup_namespace;
    input.no_process_sandbox = options_.no_process_sandbox;
    input.rootless = options_.rootless;
    if (meta.insecure) input.free_loop_device = FreeLoopDevice();
    if (!options_.tracing_socket.empty() && PathExists(options_.tracing_socket)) {
      input.tracing_socket = options_.tracing_socket;
      input.traceparent = RandomTraceparent();
    }
    return input;
  }

  Status CheckSecurity(const ProcessMeta& meta) const {
    if (options_.selinux && !facts_.selinux) {
      return FailedPreconditionError("selinux is not available");
    }
    if (!meta.insecure && !options_.apparmor_profile.empty() && !facts_.apparmor) {
      return FailedPreconditionError(
          StrCat("AppArmor is not supported on this host, but the profile '",
                 options_.apparmor_profile, "' was specified"));
    }
    return OkStatus();
  }

  Status RunInBundle(const Bundle& bundle, const RootedTree& tree,
                     const std::vector<ContainerMount>& mounts, SpecInput input,
                     const RunMode& mode, std::stop_token stop) {
    const ProcessMeta& meta = *input.meta;
    std::vector<std::string> targets;
    for (const ContainerMount& mount : mounts) targets.push_back(mount.dest);
    MountStubs stubs(tree, targets, meta.remove_stubs_recursive);
    Status status = Prepared(bundle, tree, mounts, input, mode, std::move(stop));
    stubs.Remove();
    return status;
  }

  Status Prepared(const Bundle& bundle, const RootedTree& tree,
                  const std::vector<ContainerMount>& mounts, SpecInput& input,
                  const RunMode& mode, std::stop_token stop) {
    ASSIGN_OR_RETURN(input.user, FindUser(tree, input.meta->user));
    RETURN_IF_ERROR(CheckSecurity(*input.meta));
    cdi::ContainerEdits edits;
    if (options_.cdi != nullptr && !input.meta->devices.empty()) {
      StatusOr<cdi::ContainerEdits> found = options_.cdi->EditsFor(input.meta->devices);
      if (!found.ok()) return Annotate(found.status(), "CDI device injection failed");
      edits = *std::move(found);
      input.edits = &edits;
    }
    ContainerMounts made(JoinPath(bundle.path(), "mounts"));
    for (const ContainerMount& mount : mounts) {
      RETURN_IF_ERROR(made.Add(mount));
    }
    input.mounts = made.spec();
    RETURN_IF_ERROR(MakeWorkingDir(tree, input.meta->cwd, input.user));
    ASSIGN_OR_RETURN(UniqueFd memory,
                     WriteForRuntime(JoinPath(bundle.path(), "config.json"),
                                     MakeRuntimeSpec(input), input.meta->secret_env));
    RuntimeCall call{.binary = {}, .bundle = bundle.path(), .id = input.id};
    call.terminal = input.meta->tty;
    call.attachment = mode.attachment;
    call.pid_file = JoinPath(bundle.path(), kPidFile);
    call.hooks = input.edits != nullptr;
    return RunCounted(input, std::move(call), mode, std::move(stop));
  }

  Status RunCounted(const SpecInput& input, RuntimeCall call, const RunMode& mode,
                    std::stop_token stop) {
    std::optional<UsageMonitor::Record> record;
    std::optional<OomKill> oom;
    if (CanCount(input)) {
      record.emplace(monitor_, CgroupsPath(input), mode.traffic);
      call.cgroup = &record->cgroup();
      call.on_end = [&] {
        StepUsage usage = record->Finish();
        if (WasKilled(usage)) oom = record->cgroup().Oom();
        if (input.meta->on_usage) input.meta->on_usage(std::move(usage));
      };
    }
    static const OutputFn kNoOutput;
    StatusOr<RuntimeExit> exit =
        runtime_->Run(call, mode.output == nullptr ? kNoOutput : *mode.output, std::move(stop));
    if (!exit.ok() || ((exit->stopped || exit->code >= 128) && !exit->removed)) {
      // The runtime may have died before it could clean up.
      runtime_->Delete(input.id);
    }
    RETURN_IF_ERROR(exit.status());
    return ExitStatus(*exit, input.meta->valid_exit_codes, oom);
  }

  // In a user namespace cgroups and the runtime's state lie elsewhere; without a pid
  // namespace only the runtime knows how to end what a step leaves running.
  bool CanCount(const SpecInput& input) const {
    return !cgroups_.empty() && !facts_.in_user_namespace && !options_.no_process_sandbox &&
           CgroupsPath(input).starts_with('/');
  }

  ExecutorOptions options_;
  std::unique_ptr<ContainerRuntime> runtime_;
  HostFacts facts_;
  std::unique_ptr<NetworkProvider> default_network_;
  const char* spec_version_;
  const CgroupMounts cgroups_ = FindCgroupMounts(ReadFile("/proc/self/mountinfo").value_or(""));
  UsageMonitor monitor_{cgroups_};
  std::unique_ptr<NetworkProvider> host_network_ = MakeHostNetwork();
  std::unique_ptr<NetworkProvider> no_network_ = MakeNoNetwork();
  proxy::ProxyNetwork proxy_;
  ResolvConfFiles resolv_conf_;
  RunningContainers running_;
};

class Runc : public ContainerRuntime {
 public:
  explicit Runc(std::string binary) : binary_(std::move(binary)) {}
  StatusOr<RuntimeExit> Run(const RuntimeCall& call, const OutputFn& output,
                            std::stop_token stop) override {
    RuntimeCall own = call;
    own.binary = binary_;
    const bool runc = IsRunc(binary_);
    if (!runc) own.cgroup = nullptr;
    std::string said;  // the end of what came on stderr
    OutputFn watched = [&](int stream, std::string_view bytes) {
      constexpr size_t kTail = 4096;
      if (stream == 2) said.append(bytes);
      if (said.size() > 2 * kTail) said.erase(0, said.size() - kTail);
      output(stream, bytes);
    };
    const bool watch = !runc && call.attachment == nullptr && output;
    // What is attached to somebody, or to a container, does not come in dozens.
    StatusOr<RuntimeExit> exit = RunContainer(own, watch ? watched : output, std::move(stop),
                                              call.attachment == nullptr ? &starting_ : nullptr);
    if (own.cgroup != nullptr) {
      call.on_end();
      Remove(own);
      if (exit.ok()) exit->removed = true;
    }
    if (exit.ok() && exit->code != 0 && !exit->stopped && !runc) TellError(call, said, output);
    return exit;
  }
  void Delete(const std::string& id) override { DeleteContainer(binary_, id); }

 private:
  // A stopped container as `runc delete` would remove it, without starting one.
  void Remove(const RuntimeCall& call) {
    const std::string state = JoinPath("/run/runc", call.id);
    // Only the runtime can do the rest of what is not as expected, and it wants its state.
    if (call.hooks || !call.cgroup->Remove()) return DeleteContainer(binary_, call.id);
    ::unlink(JoinPath(state, "state.json").c_str());
    if (::rmdir(state.c_str()) != 0 && !RemoveAll(state).ok()) DeleteContainer(binary_, call.id);
  }

  // Some others than runc write what went wrong only where nobody looks.
  void TellError(const RuntimeCall& call, std::string_view said, const OutputFn& output) const {
    const std::string error = LastRuntimeError(JoinPath(call.bundle, "log.json"));
    if (error.empty() || Contains(said, error)) return;
    log::Error(StrCat(binary_, ": ", error));
    if (call.attachment == nullptr && output) output(2, StrCat(BaseName(binary_), ": ", error, "\n"));
  }

  std::string binary_;
  // A start keeps more than one core busy; more of them than cores hold each other up, and
  // each of sixty at once takes half as much again.
  StartGate starting_{std::thread::hardware_concurrency() + 2};
};

bool IsContainerId(std::string_view name) { return name.size() == 25 && IsPlainId(name); }

void RemoveLeftovers(const std::string& root, ContainerRuntime& runtime) {
  for (const std::string& name : ListDir(root).value_or({})) {
    if (!IsContainerId(name)) continue;
    log::Info(StrCat("removing container left over from an earlier run: ", name));
    const std::string path = JoinPath(root, name);
    runtime.Delete(name);
    cache::UnmountAll(path).IgnoreError();
    RemoveAll(path).IgnoreError();
  }
}

// Other runtimes than runc are asked what they take; what they cannot do goes to the log.
const char* SpecVersionFor(const ExecutorOptions& options) {
  if (options.binary.empty() || IsRunc(options.binary)) return kSpecVersion;
  RuntimeQuestion question{options.binary, options.root, options.rootless, kSpecVersion};
  std::string why = WhyRuntimeFails(question);
  if (Contains(why, "version")) {
    question.spec_version = kOldSpecVersion;
    why = WhyRuntimeFails(question);
    log::Info(StrCat("the runtime ", options.binary, " knows the runtime spec only up to ", kOldSpecVersion));
  }
  if (!why.empty()) {
    log::Error(StrCat("the runtime ", options.binary, " cannot run steps on this machine: ", why));
  }
  return question.spec_version;
}

StatusOr<std::string> FindRuntime(const std::string& wanted) {
  if (!wanted.empty()) {
    StatusOr<std::string> path = LookPath(wanted);
    if (path.ok()) return path;
    return NotFoundError(StrCat("failed to find ", wanted, " binary"));
  }
  for (const char* candidate : {"buildkit-runc", "runc"}) {
    StatusOr<std::string> path = LookPath(candidate);
    if (path.ok()) return path;
  }
  return NotFoundError("failed to find runc binary");
}

}  // namespace

std::optional<uint32_t> ExitCodeOf(const Status& status) {
  const StatusDetail* detail = status.FindDetail(kExitMessageUrl);
  if (detail == nullptr) {
    return std::nullopt;
  }
  uint32_t code = 0;
  for (size_t i = 1; i < detail->bytes.size() && i < 6; ++i) {
    code |= static_cast<uint32_t>(detail->bytes[i] & 0x7f) << (7 * (i - 1));
  }
  return code;
}

StatusOr<std::unique_ptr<ContainerRuntime>> OpenRunc(const std::string& wanted) {
  ASSIGN_OR_RETURN(std::string binary, FindRuntime(wanted));
  return std::unique_ptr<ContainerRuntime>(std::make_unique<Runc>(std::move(binary)));
}

StatusOr<std::unique_ptr<Executor>> OpenRuncExecutor(const ExecutorOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<ContainerRuntime> runtime, OpenRunc(options.binary));
  return OpenExecutor(options, std::move(runtime));
}

StatusOr<std::unique_ptr<Executor>> OpenExecutor(const ExecutorOptions& wanted,
                                                 std::unique_ptr<ContainerRuntime> runtime) {
  ExecutorOptions options = wanted;
  RETURN_IF_ERROR(MakeDirs(options.root, 0711));
  char real[PATH_MAX];
  if (::realpath(options.root.c_str(), real) == nullptr) {
    return ErrnoStatus(errno, options.root);
  }
  options.root = real;
  RemoveLeftovers(options.root, *runtime);
  const char* version = SpecVersionFor(options);
  ASSIGN_OR_RETURN(std::unique_ptr<NetworkProvider> network, OpenDefaultNetwork(options));
  return std::unique_ptr<Executor>(std::make_unique<BundleExecutor>(
      std::move(options), std::move(runtime), ReadHostFacts(), std::move(network), version));
}

}  // namespace kiln::worker::exec
