// ExecOp: runs a process over its mounts.
#include <arpa/inet.h>

#include <algorithm>
#include <mutex>

#include "base/log.h"
#include "base/process.h"
#include "base/strings.h"
#include "base/trace.h"
#include "llb/proto/ops.pb.h"
#include "worker/op/cache_maps.h"
#include "worker/op/emulator.h"
#include "worker/op/failed_steps.h"
#include "worker/op/log_streams.h"
#include "worker/op/op_deps.h"
#include "worker/op/proxied_steps.h"
#include "worker/op/step_usages.h"
#include "worker/op/step_mounts.h"

namespace kiln::worker {
namespace {

constexpr std::string_view kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::string_view kEmulatorPath = "/dev/.buildkit_qemu_emulator";

void AddProxy(const char* upper, const char* lower, const std::string& value,
              std::vector<std::string>* env) {
  if (!value.empty()) {
    env->push_back(StrCat(upper, "=", value));
    env->push_back(StrCat(lower, "=", value));
  }
}

void AddProxies(const pb::ProxyEnv& proxy, std::vector<std::string>* env) {
  AddProxy("HTTP_PROXY", "http_proxy", proxy.http_proxy(), env);
  AddProxy("HTTPS_PROXY", "https_proxy", proxy.https_proxy(), env);
  AddProxy("FTP_PROXY", "ftp_proxy", proxy.ftp_proxy(), env);
  AddProxy("NO_PROXY", "no_proxy", proxy.no_proxy(), env);
  AddProxy("ALL_PROXY", "all_proxy", proxy.all_proxy(), env);
}

Status CheckIp(const pb::HostIP& host) {
  in6_addr six = {};
  in_addr four = {};
  if (::inet_pton(AF_INET, host.ip().c_str(), &four) != 1 &&
      ::inet_pton(AF_INET6, host.ip().c_str(), &six) != 1) {
    return InvalidArgumentError(StrCat("failed to parse IP ", host.ip()));
  }
  return OkStatus();
}

exec::Limits LimitsOf(const pb::LinuxResources& limits) {
  return {.memory = limits.memory(),
          .memory_swap = limits.memoryswap(),
          .cpu_shares = limits.cpushares(),
          .cpu_period = limits.cpuperiod(),
          .cpu_quota = limits.cpuquota(),
          .cpuset_cpus = limits.cpusetcpus(),
          .cpuset_mems = limits.cpusetmems()};
}

std::string_view QemuName(std::string_view architecture) {
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"arm64", "aarch64"}, {"amd64", "x86_64"}, {"386", "i386"}};
  for (const auto& [ours, qemu] : kNames) {
    if (ours == architecture) return qemu;
  }
  return architecture;
}

class ExecOp : public solver::Op {
 public:
  ExecOp(const OpDeps& deps, VertexPtr vertex)
      : deps_(deps), vertex_(std::move(vertex)), op_(vertex_->op->exec()) {}
  ~ExecOp() override {
    if (vertex_->proxy_network) deps_.proxied->Drop(vertex_->digest, this);
    deps_.usages->Drop(vertex_->digest, this);
  }

  bool HasQuickMap() const override { return true; }
  StatusOr<solver::CacheMapAnswer> GetCacheMap(int, solver::JobContext&) override {
    const pb::Platform* platform =
        vertex_->op->has_platform() ? &vertex_->op->platform() : nullptr;
    ASSIGN_OR_RETURN(solver::CacheMap map, ExecCacheMap(op_, platform, vertex_->inputs.size(),
                                                        deps_.worker_id));
    KeepContentFailures(deps_.failed_steps, &map);
    return solver::CacheMapAnswer{std::move(map)};
  }

  StatusOr<std::vector<cache::Ref>> Exec(const std::vector<cache::Ref>& inputs,
                                         solver::JobContext& context) override {
    ASSIGN_OR_RETURN(StepLimit::Place place, deps_.limit->Acquire(context.stop()));
    StepMounts mounts(deps_, op_, inputs, context);
    RETURN_IF_ERROR(mounts.Prepare());
    exec::ProcessMeta meta = Meta();
    meta.readonly_root = mounts.readonly_root();
    for (const pb::HostIP& host : op_.meta().extrahosts()) {
      RETURN_IF_ERROR(CheckIp(host));
    }
    std::vector<exec::ContainerMount> all = mounts.mounts();
    RETURN_IF_ERROR(AddEmulator(&meta, &all));
    RETURN_IF_ERROR(AddSecretEnv(context, &meta.env));
    meta.secret_env = op_.secretenv_size() > 0;
    if (vertex_->proxy_network) meta.proxy = Proxy(context);
    meta.on_usage = [this](exec::StepUsage usage) {
      deps_.usages->Set(vertex_->digest, this,
                        std::make_shared<const exec::StepUsage>(std::move(usage)));
    };
    Status status = RunLogged(mounts.root(), all, meta, context);
    if (!status.ok()) return WithTrees(std::move(status), inputs, mounts, context);
    return mounts.Commit();
  }

  Pool pool() const override { return Pool::kExec; }

 private:
  exec::ProcessMeta Meta() const {
    const pb::Meta& from = op_.meta();
    exec::ProcessMeta meta;
    meta.args.assign(from.args().begin(), from.args().end());
    meta.env.assign(from.env().begin(), from.env().end());
    meta.cwd = from.cwd();
    meta.user = from.user();
    meta.hostname = from.hostname();
    meta.cgroup_parent = from.cgroupparent();
    meta.remove_stubs_recursive = from.removemountstubsrecursive();
    meta.valid_exit_codes.assign(from.validexitcodes().begin(), from.validexitcodes().end());
    meta.network = static_cast<exec::NetMode>(op_.network());
    meta.insecure = op_.security() == pb::INSECURE;
    for (const pb::HostIP& host : from.extrahosts()) {
      meta.extra_hosts.push_back({host.host(), host.ip()});
    }
    for (const pb::Ulimit& limit : from.ulimit()) {
      meta.ulimits.push_back({limit.name(), limit.soft(), limit.hard()});
    }
    if (vertex_->metadata->has_linux_resources()) {
      meta.limits = LimitsOf(vertex_->metadata->linux_resources());
    }
    for (const pb::CDIDevice& device : op_.cdidevices()) {
      meta.devices.push_back({device.name(), device.optional()});
    }
    if (from.has_proxy_env()) AddProxies(from.proxy_env(), &meta.env);
    bool has_path = std::any_of(meta.env.begin(), meta.env.end(), [](const std::string& entry) {
      return entry.starts_with("PATH=");
    });
    if (!has_path) meta.env.emplace_back(kDefaultPath);
    return meta;
  }

  std::shared_ptr<const proxy::ProxyConfig> Proxy(solver::JobContext& context) const {
    auto config = std::make_shared<proxy::ProxyConfig>();
    if (deps_.proxy_policy) config->policy = deps_.proxy_policy(context.Builds());
    config->capture = std::make_shared<proxy::ProxyCapture>();
    deps_.proxied->Set(vertex_->digest, this, config->capture);
    return config;
  }

  // For platforms that this machine cannot run: a static qemu in front of the command.
  Status AddEmulator(exec::ProcessMeta* meta, std::vector<exec::ContainerMount>* mounts) const {
    if (!vertex_->op->has_platform()) return OkStatus();
    const pb::Platform& from = vertex_->op->platform();
    Platform wanted = NormalizePlatform({from.os(), from.architecture(), from.variant(), "", {}});
    std::vector<std::string> same_arch;
    for (const Platform& have : deps_.platforms) {
      if (PlatformMatchesOnly(have, wanted)) return OkStatus();
      if (have.architecture == "amd64") same_arch.push_back(FormatPlatform(have));
    }
    if (wanted.architecture == "amd64" && !wanted.variant.empty() && wanted.variant != "v2") {
      return FailedPreconditionError(StrCat("no support for running processes with ",
                                            FormatPlatform(wanted), " platform, supported: ",
                                            StrJoin(same_arch, ", ")));
    }
    StatusOr<std::string> qemu =
        LookPath(StrCat("buildkit-qemu-", QemuName(wanted.architecture)));
    if (!qemu.ok()) {
      log::Warning(qemu.status().message());
      return OkStatus();
    }
    std::vector<std::string> args = {std::string(kEmulatorPath)};
    args.insert(args.end(), meta->args.begin(), meta->args.end());
    meta->args = std::move(args);
    ASSIGN_OR_RETURN(std::string program, EmulatorFor(*qemu, deps_.temp_dir));
    cache::Mount bind{"bind", program, {"ro", "bind"}};
    mounts->push_back({.source = [bind]() -> StatusOr<cache::MountLease> {
                         return cache::MountLease{{bind}, nullptr};
                       },
                       .selector = {},
                       .dest = std::string(kEmulatorPath),
                       .readonly = true});
    return OkStatus();
  }

  Status AddSecretEnv(solver::JobContext& context, std::vector<std::string>* env) const {
    for (const pb::SecretEnv& secret : op_.secretenv()) {
      if (secret.id().empty()) {
        return InvalidArgumentError(
            StrCat("secret ID missing for ", Quote(secret.name()), " environment variable"));
      }
      std::string value;
      Status got = WithAnySession(*deps_.sessions, context.Sessions(),
                                  [&](ClientSession& session) -> Status {
                                    ASSIGN_OR_RETURN(value, session.GetSecret(secret.id()));
                                    return OkStatus();
                                  });
      if (!got.ok() && !(IsNotFound(got) && secret.optional())) return got;
      env->push_back(StrCat(secret.name(), "=", value));
    }
    return OkStatus();
  }

  // The failure, with the trees of the step as they are now for who debugs it.
  Status WithTrees(Status status, const std::vector<cache::Ref>& inputs, StepMounts& mounts,
                   solver::JobContext& context) const {
    if (deps_.failed_steps == nullptr || context.stop().stop_requested()) return status;
    FailedStep step;
    for (const pb::Mount& mount : op_.mounts()) {
      cache::Ref& input = step.inputs.emplace_back();
      if (mount.input() >= 0 && static_cast<size_t>(mount.input()) < inputs.size()) {
        input = inputs[static_cast<size_t>(mount.input())].Clone();
      }
    }
    step.mounts = mounts.CommitFailed();
    status.AddDetail(kFailedStepUrl,
                     deps_.failed_steps->Keep(std::move(step), context.Builds()));
    return status;
  }

  Status RunLogged(const exec::ContainerMount& root,
                   const std::vector<exec::ContainerMount>& mounts, const exec::ProcessMeta& meta,
                   solver::JobContext& context) const {
    LogStreams logs(context.progress(), LogLimits::FromEnvironment());
    Status status =
        pb::SecurityMode_IsValid(op_.security())
            ? deps_.executor->Run(
                  root, mounts, meta,
                  [&](int stream, std::string_view bytes) { logs.Write(stream, bytes); },
                  context.stop())
            : InvalidArgumentError(StrCat("invalid security mode ", static_cast<int>(op_.security())));
    if (meta.proxy != nullptr) logs.Write(2, meta.proxy->capture->LogText());
    if (status.ok()) {
      return status;
    }
    logs.Flush();
    return Traced(Annotate(status, StrCat("process ", Quote(StrJoin(meta.args, " ")),
                                          " did not complete successfully")));
  }

  const OpDeps& deps_;
  VertexPtr vertex_;
  const pb::ExecOp& op_;
};

}  // namespace

std::unique_ptr<solver::Op> MakeExecOp(const OpDeps& deps, VertexPtr vertex) {
  return std::make_unique<ExecOp>(deps, std::move(vertex));
}

}  // namespace kiln::worker
