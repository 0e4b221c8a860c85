// The exec op. Mounts are written sorted by target, and outputs are numbered in
// that order, so a slot (a mount as it was given) is not an output's index.
#include "llb/exec.h"

#include <algorithm>

#include "base/strings.h"
#include "llb/graph.h"
#include "llb/node.h"

namespace kiln::llb {
namespace {

constexpr std::string_view kUnixPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

class ExecNode : public Node {
 public:
  ExecNode(const State& on, Exec exec) : meta_(on.meta()), exec_(std::move(exec)) {
    if (!exec_.constraints.platform) exec_.constraints.platform = meta_.platform;
    else output_platform_ = exec_.constraints.platform;
    Mount root;
    root.target = "/";
    root.source = on.output();
    root.read_only = exec_.read_only_root;
    exec_.mounts.insert(exec_.mounts.begin(), std::move(root));
    for (size_t i = 0; i < exec_.mounts.size(); ++i) order_.push_back(i);
    std::stable_sort(order_.begin(), order_.end(), [this](size_t a, size_t b) {
      return exec_.mounts[a].target < exec_.mounts[b].target;
    });
    for (size_t i = 0; i < exec_.ssh.size(); ++i) {
      if (exec_.ssh[i].target.empty()) {
        exec_.ssh[i].target = StrCat("/run/buildkit/ssh_agent.", i);
      }
    }
  }
  ~ExecNode() override {
    std::vector<Output> released;
    ReleaseInputs(&released);
    ReleaseOutputs(std::move(released));
  }

  std::vector<Output> Inputs() const override {
    std::vector<Output> inputs;
    for (size_t i : order_) {
      if (exec_.mounts[i].source.node != nullptr) inputs.push_back(exec_.mounts[i].source);
    }
    return inputs;
  }
  std::optional<Platform> OutputPlatform() const override { return output_platform_; }
  void ReleaseInputs(std::vector<Output>* released) override {
    for (Mount& mount : exec_.mounts) released->push_back(std::move(mount.source));
  }

  static bool HasOutput(const Mount& mount) {
    return !mount.no_output && !mount.read_only && mount.cache_id.empty() && !mount.tmpfs;
  }

  StatusOr<int64_t> IndexOf(int slot) const override {
    const Mount& wanted = exec_.mounts[static_cast<size_t>(slot)];
    if (wanted.tmpfs) {
      return UnknownError(
          StrCat("tmpfs mount for ", wanted.target, " can't be used as a parent"));
    }
    int64_t index = 0;
    for (size_t i : order_) {
      if (i == static_cast<size_t>(slot)) break;
      if (HasOutput(exec_.mounts[i])) ++index;
    }
    return index;
  }

  StatusOr<MarshalledNode> Marshal(const Marshaller& marshaller) const override {
    if (meta_.args.empty()) return UnknownError("arguments are required");
    if (meta_.dir.empty()) return UnknownError("working directory is required");
    MarshalledNode out;
    Constraints own = exec_.constraints;
    pb::ExecOp exec;
    WriteMeta(marshaller, &own, exec.mutable_meta());
    WriteModes(&own, &exec);
    NeedMountCaps(&own);
    pb::Op op = marshaller.NewOp(own, &out.metadata);
    RETURN_IF_ERROR(WriteMounts(marshaller, &op, &exec));
    WriteSecrets(&exec);
    *op.mutable_exec() = std::move(exec);
    out.bytes = MarshalDeterministic(op);
    out.locations = own.locations;
    return out;
  }

 private:
  void WriteEnv(const Marshaller& marshaller, Constraints* own, pb::Meta* meta) const {
    EnvList env = meta_.env;
    if (!exec_.ssh.empty() && !env.Get("SSH_AUTH_SOCK")) {
      env.Set("SSH_AUTH_SOCK", exec_.ssh[0].target);
    }
    if (const CapPredicate& caps = marshaller.options().caps) {
      if (caps(kCapExecMetaSetsDefaultPath)) {
        own->Need(kCapExecMetaSetsDefaultPath);
      } else if (marshaller.options().platform->os != "windows" && !env.Get("PATH")) {
        env.Set("PATH", std::string(kUnixPath));
      }
    }
    for (std::string& text : env.ToArray()) meta->add_env(std::move(text));
  }

  void WriteMeta(const Marshaller& marshaller, Constraints* own, pb::Meta* meta) const {
    for (const std::string& arg : meta_.args) meta->add_args(arg);
    WriteEnv(marshaller, own, meta);
    meta->set_cwd(meta_.dir);
    meta->set_user(meta_.user);
    meta->set_hostname(meta_.hostname);
    meta->set_cgroupparent(meta_.cgroup_parent);
    meta->set_removemountstubsrecursive(true);
    for (int32_t code : meta_.valid_exit_codes) meta->add_validexitcodes(code);
    if (!meta_.valid_exit_codes.empty()) own->Need(kCapExecValidExitCode);
    for (const HostIp& host : meta_.extra_hosts) {
      pb::HostIP* added = meta->add_extrahosts();
      added->set_host(host.host);
      added->set_ip(host.ip);
    }
    for (const Ulimit& ulimit : meta_.ulimits) {
      pb::Ulimit* added = meta->add_ulimit();
      added->set_name(ulimit.name);
      added->set_soft(ulimit.soft);
      added->set_hard(ulimit.hard);
    }
    if (!meta_.ulimits.empty()) own->Need(kCapExecMetaUlimit);
    if (exec_.proxy) {
      pb::ProxyEnv* proxy = meta->mutable_proxy_env();
      proxy->set_http_proxy(exec_.proxy->http);
      proxy->set_https_proxy(exec_.proxy->https);
      proxy->set_ftp_proxy(exec_.proxy->ftp);
      proxy->set_no_proxy(exec_.proxy->no_proxy);
      proxy->set_all_proxy(exec_.proxy->all);
      own->Need(kCapExecMetaProxy);
    }
  }

  void WriteModes(Constraints* own, pb::ExecOp* exec) const {
    if (own->linux_resources) own->Need(kCapExecMetaLinuxResources);
    exec->set_network(static_cast<pb::NetMode>(meta_.network));
    if (meta_.network != NetMode::kSandbox) own->Need(kCapExecMetaNetwork);
    exec->set_security(static_cast<pb::SecurityMode>(meta_.security));
    if (meta_.security == SecurityMode::kInsecure) own->Need(kCapExecMetaSecurity);
    own->Need(kCapExecMetaBase);
    if (!exec_.devices.empty()) own->Need(kCapExecMetaCdi);
    for (const CdiDevice& device : exec_.devices) {
      pb::CDIDevice* added = exec->add_cdidevices();
      added->set_name(device.name);
      added->set_optional(device.optional);
    }
  }

  void NeedMountCaps(Constraints* own) const {
    for (const Mount& mount : exec_.mounts) {
      if (!mount.selector.empty()) own->Need(kCapExecMountSelector);
      if (!mount.cache_id.empty()) {
        own->Need(kCapExecMountCache).Need(kCapExecMountCacheSharing);
      } else if (mount.tmpfs) {
        own->Need(kCapExecMountTmpfs);
        if (mount.tmpfs_size > 0) own->Need(kCapExecMountTmpfsSize);
      } else if (mount.source.node != nullptr) {
        own->Need(kCapExecMountBind);
      }
      if (mount.content_cache != MountContentCache::kDefault) own->Need(kCapExecMountContentCache);
    }
    if (!exec_.secrets.empty()) own->Need(kCapExecMountSecret);
    for (const Secret& secret : exec_.secrets) {
      if (secret.env) own->Need(kCapExecSecretEnv);
    }
    if (!exec_.ssh.empty()) own->Need(kCapExecMountSsh);
  }

  Status WriteMounts(const Marshaller& marshaller, pb::Op* op, pb::ExecOp* exec) const {
    int64_t outputs = 0;
    for (size_t i : order_) {
      const Mount& mount = exec_.mounts[i];
      pb::Mount* added = exec->add_mounts();
      added->set_input(-1);
      if (mount.source.node != nullptr) {
        if (mount.tmpfs) return UnknownError("tmpfs mounts must use scratch");
        ASSIGN_OR_RETURN(const pb::Input input, marshaller.ToInput(mount.source));
        added->set_input(AddInput(input, op));
      }
      added->set_output(HasOutput(mount) ? outputs++ : -1);
      added->set_dest(mount.target);
      added->set_readonly(mount.read_only);
      added->set_selector(mount.selector);
      added->set_contentcache(static_cast<pb::MountContentCache>(mount.content_cache));
      if (!mount.cache_id.empty()) {
        added->set_mounttype(pb::CACHE);
        added->mutable_cacheopt()->set_id(mount.cache_id);
        added->mutable_cacheopt()->set_sharing(
            static_cast<pb::CacheSharingOpt>(mount.cache_sharing));
      }
      if (mount.tmpfs) {
        added->set_mounttype(pb::TMPFS);
        added->mutable_tmpfsopt()->set_size(mount.tmpfs_size);
      }
    }
    return OkStatus();
  }

  void WriteSecrets(pb::ExecOp* exec) const {
    for (const Secret& secret : exec_.secrets) {
      if (secret.env) {
        pb::SecretEnv* env = exec->add_secretenv();
        env->set_id(secret.id);
        env->set_name(*secret.env);
        env->set_optional(secret.optional);
      }
      if (!secret.target) continue;
      pb::Mount* mount = exec->add_mounts();
      mount->set_input(-1);
      mount->set_dest(*secret.target);
      mount->set_mounttype(pb::SECRET);
      WriteFile(secret, mount->mutable_secretopt());
    }
    for (const Ssh& ssh : exec_.ssh) {
      pb::Mount* mount = exec->add_mounts();
      mount->set_input(-1);
      mount->set_dest(ssh.target);
      mount->set_mounttype(pb::SSH);
      WriteFile(ssh, mount->mutable_sshopt());
    }
  }

  template <typename From, typename To>
  static void WriteFile(const From& from, To* to) {
    to->set_id(from.id);
    to->set_uid(from.uid);
    to->set_gid(from.gid);
    to->set_mode(from.mode);
    to->set_optional(from.optional);
  }

  ExecMeta meta_;
  Exec exec_;  // mounts: the root first, then as given
  std::vector<size_t> order_;
  std::optional<Platform> output_platform_;
};

}  // namespace

ExecState Run(const State& state, const State& on, Exec exec) {
  const size_t mounts = exec.mounts.size();
  std::vector<Output> sources;
  std::vector<bool> read_only;
  for (const Mount& mount : exec.mounts) {
    sources.push_back(mount.source);
    read_only.push_back(mount.read_only);
  }
  const bool keep_root = exec.read_only_root;
  auto node = std::make_shared<ExecNode>(on, std::move(exec));
  State root = keep_root ? state : state.WithOutput({node, 0});
  std::vector<State> states;
  for (size_t i = 0; i < mounts; ++i) {
    Output output = read_only[i] ? sources[i] : Output{node, static_cast<int>(i) + 1};
    states.push_back(State(sources[i]).WithOutput(std::move(output)));
  }
  return ExecState(std::move(root), std::move(states));
}

}  // namespace kiln::llb
