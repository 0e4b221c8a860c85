#include "worker/op/step_mounts.h"

#include <algorithm>

#include "base/file.h"
#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "worker/op/cache_mounts.h"
#include "worker/op/client_mounts.h"

namespace kiln::worker {
namespace {

constexpr std::chrono::seconds kSessionWait{5};

std::string MountTypeName(pb::MountType type) {
  return pb::MountType_IsValid(type) ? pb::MountType_Name(type) : std::to_string(type);
}

bool IsOverlayDir(const std::string& option) {
  return option.starts_with("workdir=") || option.starts_with("upperdir=") ||
         option.starts_with("lowerdir=");
}

// A record's mounts with their options in the order that the reference writes into specs.
// `layer`: the record is a layer of an image, which the reference keeps as a snapshot of
// another kind.
StatusOr<cache::MountLease> InSpecOrder(StatusOr<cache::MountLease> lease, bool layer = false) {
  if (!lease.ok()) return lease;
  for (cache::Mount& mount : lease->mounts) {
    if (mount.type == "bind") {
      bool readonly = std::find(mount.options.begin(), mount.options.end(), "ro") !=
                      mount.options.end();
      mount.options = {readonly ? "rbind" : "rw", readonly ? "ro" : "rbind"};
      if (layer && readonly) mount.options.insert(mount.options.begin(), "ro");
    } else {
      std::stable_partition(mount.options.begin(), mount.options.end(), IsOverlayDir);
    }
  }
  return lease;
}

StatusOr<CacheSharing> SharingOf(const pb::CacheOpt& cache) {
  switch (cache.sharing()) {
    case pb::SHARED:
      return CacheSharing::kShared;
    case pb::PRIVATE:
      return CacheSharing::kPrivate;
    case pb::LOCKED:
      return CacheSharing::kLocked;
    default:
      return InvalidArgumentError(
          StrCat("invalid cache sharing option: ", static_cast<int>(cache.sharing())));
  }
}

}  // namespace

StepMounts::StepMounts(const OpDeps& deps, const pb::ExecOp& op,
                       const std::vector<cache::Ref>& inputs, solver::JobContext& context)
    : deps_(deps),
      op_(op),
      inputs_(inputs),
      context_(context),
      command_(StrJoin(op.meta().args(), " ")) {}

Status StepMounts::Prepare() {
  for (const pb::Mount& mount : op_.mounts()) {
    RETURN_IF_ERROR(Add(mount));
  }
  std::stable_sort(mounts_.begin(), mounts_.end(),
                   [](const auto& a, const auto& b) { return a.dest < b.dest; });
  return OkStatus();
}

Status StepMounts::Add(const pb::Mount& mount) {
  sources_.emplace_back();
  actives_.emplace_back();
  if (mount.dest() == "/" && mount.mounttype() != pb::BIND) {
    return InvalidArgumentError(
        StrCat("invalid mount type ", MountTypeName(mount.mounttype()), " for ", mount.dest()));
  }
  const cache::Ref* input = nullptr;
  if (mount.input() != -1) {
    if (mount.input() < 0 || static_cast<size_t>(mount.input()) >= inputs_.size()) {
      return InvalidArgumentError(StrCat("missing input ", mount.input()));
    }
    const cache::Ref& ref = inputs_[static_cast<size_t>(mount.input())];
    input = ref.empty() ? nullptr : &ref;
  }
  ASSIGN_OR_RETURN(Source source, MakeSource(mount, input));
  sources_.back() = source;
  if (!source) {
    return OkStatus();  // optional, and the client has no such thing
  }
  if (mount.dest() == "/") {
    readonly_root_ = mount.readonly();
    root_ = {.source = std::move(source), .selector = {}, .dest = "/", .readonly = false};
    return OkStatus();
  }
  std::string dest = mount.dest();
  if (!dest.starts_with('/')) dest = CleanPath(StrCat("/", op_.meta().cwd(), "/", dest));
  mounts_.push_back({.source = std::move(source),
                     .selector = mount.selector(),
                     .dest = std::move(dest),
                     .readonly = mount.readonly()});
  return OkStatus();
}

StatusOr<StepMounts::Source> StepMounts::MakeSource(const pb::Mount& mount,
                                                    const cache::Ref* input) {
  switch (mount.mounttype()) {
    case pb::BIND:
      return Bind(mount, input);
    case pb::CACHE:
      return Cache(mount, input);
    case pb::SECRET:
      return Secret(mount);
    case pb::SSH:
      return Ssh(mount);
    case pb::TMPFS: {
      cache::Mount tmpfs{"tmpfs", "tmpfs", {"nosuid"}};
      if (mount.readonly()) tmpfs.options.emplace_back("ro");
      if (mount.tmpfsopt().size() > 0) {
        tmpfs.options.push_back(StrCat("size=", mount.tmpfsopt().size()));
      }
      return Source([tmpfs]() -> StatusOr<cache::MountLease> {
        return cache::MountLease{{tmpfs}, nullptr};
      });
    }
    default:
      return InvalidArgumentError(
          StrCat("mount type ", MountTypeName(mount.mounttype()), " not implemented"));
  }
}

StatusOr<StepMounts::Source> StepMounts::Bind(const pb::Mount& mount, const cache::Ref* input) {
  const bool is_root = mount.dest() == "/";
  const bool has_output = mount.output() != -1;
  if (has_output && mount.readonly() && input != nullptr && !is_root) {
    outputs_.push_back({nullptr, input->Clone()});
  } else if (has_output) {
    ASSIGN_OR_RETURN(std::shared_ptr<cache::MutableRef> active, NewActive(mount, input));
    outputs_.push_back({active, {}});
    return MountActive(mount, std::move(active));
  } else if (input == nullptr && is_root && !mount.readonly()) {
    return InvalidArgumentError(StrCat("mount ", mount.dest(), " has no input"));
  } else if (mount.readonly() ? input == nullptr || is_root : !is_root) {
    // Writes go nowhere; the runtime needs a writable root to put its mount points in.
    ASSIGN_OR_RETURN(std::shared_ptr<cache::MutableRef> active, NewActive(mount, input));
    return MountActive(mount, std::move(active));
  }
  return Source([input, &context = context_] {
    return InSpecOrder(input->Mount(true, context.stop()), input->GetRemote(false, {}).ok());
  });
}

StatusOr<StepMounts::Source> StepMounts::Cache(const pb::Mount& mount, const cache::Ref* input) {
  if (!mount.has_cacheopt()) {
    return InvalidArgumentError("missing cache mount options");
  }
  const std::string& id = mount.cacheopt().id();
  static const cache::Ref kNothing;
  const cache::Ref& seed = input == nullptr ? kNothing : *input;
  std::string description = StrCat("cached mount ", mount.dest(), " from exec ", command_);
  if (id != mount.dest()) description += StrCat(" with id ", Quote(id));
  ASSIGN_OR_RETURN(CacheSharing sharing, SharingOf(mount.cacheopt()));
  // A second mount of the same id in this step is the same folder, whatever the sharing.
  std::shared_ptr<cache::MutableRef>& active = own_caches_[CacheMounts::KeyOf(id, seed)];
  if (active == nullptr) {
    ASSIGN_OR_RETURN(active, deps_.cache_mounts->Get(id, sharing, seed, description,
                                                     context_.stop()));
  }
  if (mount.output() != -1 && input != nullptr) {
    outputs_.push_back({nullptr, input->Clone()});
  }
  const bool readonly = mount.readonly() && mount.dest() != "/";
  return Source([active, readonly, &deps = deps_, &context = context_] {
    return InSpecOrder(deps.cache_mounts->Mount(*active, readonly, context.stop()));
  });
}

StatusOr<StepMounts::Source> StepMounts::Secret(const pb::Mount& mount) {
  if (!mount.has_secretopt()) {
    return InvalidArgumentError("invalid secret mount options");
  }
  const pb::SecretOpt& secret = mount.secretopt();
  if (secret.id().empty()) {
    return InvalidArgumentError("secret ID missing from mount options");
  }
  std::string value;
  Status got = WithAnySession(*deps_.sessions, context_.Sessions(),
                              [&](ClientSession& session) -> Status {
                                ASSIGN_OR_RETURN(value, session.GetSecret(secret.id()));
                                return OkStatus();
                              });
  if (IsNotFound(got) && secret.optional()) return Source();
  RETURN_IF_ERROR(got);
  return Source([value, owner = FileOwner{secret.uid(), secret.gid(), secret.mode()},
                 &deps = deps_] { return MakeSecretMount(deps.temp_dir, value, owner); });
}

StatusOr<StepMounts::Source> StepMounts::Ssh(const pb::Mount& mount) {
  const pb::SSHOpt& ssh = mount.sshopt();
  std::string session_id;
  Status got = WithAnySession(*deps_.sessions, context_.Sessions(),
                              [&](ClientSession& session) -> Status {
                                RETURN_IF_ERROR(session.CheckSshAgent(ssh.id()));
                                session_id = session.id();
                                return OkStatus();
                              });
  if (!got.ok() && ssh.optional()) return Source();
  if (got.code() == StatusCode::kUnimplemented) {
    return NotFoundError(StrCat("no SSH key ", Quote(ssh.id()), " forwarded from the client"));
  }
  RETURN_IF_ERROR(got);
  ASSIGN_OR_RETURN(ClientSessionPtr session, deps_.sessions->Get(session_id, kSessionWait));
  return Source([session, id = ssh.id(), owner = FileOwner{ssh.uid(), ssh.gid(), ssh.mode()},
                 &deps = deps_] { return MakeSshMount(deps.temp_dir, session, id, owner); });
}

StatusOr<std::shared_ptr<cache::MutableRef>> StepMounts::NewActive(const pb::Mount& mount,
                                                                   const cache::Ref* input) {
  static const cache::Ref kNothing;
  ASSIGN_OR_RETURN(
      cache::MutableRef active,
      deps_.refs->NewMutable(input == nullptr ? kNothing : *input,
                             {.description = StrCat("mount ", mount.dest(), " from exec ",
                                                    command_)}));
  actives_.back() = std::make_shared<cache::MutableRef>(std::move(active));
  return actives_.back();
}

StepMounts::Source StepMounts::MountActive(const pb::Mount& mount,
                                           std::shared_ptr<cache::MutableRef> active) {
  // The root itself is writable even if the step may not write there.
  bool readonly = mount.readonly() && mount.dest() != "/";
  return [active, readonly, &context = context_] {
    StatusOr<cache::MountLease> lease = active->Mount(readonly, context.stop());
    if (lease.ok()) {
      // It would show in the step's mount table, and fsync is the step's to use.
      for (cache::Mount& part : lease->mounts) std::erase(part.options, "volatile");
    }
    return InSpecOrder(std::move(lease));
  };
}

StatusOr<std::vector<cache::Ref>> StepMounts::Commit() {
  std::vector<cache::Ref> refs;
  for (Output& output : outputs_) {
    if (output.active == nullptr) {
      refs.push_back(std::move(output.same));
      continue;
    }
    StatusOr<cache::Ref> ref = output.active->Commit();
    if (!ref.ok()) {
      return Annotate(ref.status(), StrCat("error committing ", output.active->id()));
    }
    refs.push_back(*std::move(ref));
  }
  return refs;
}

std::vector<cache::Ref> StepMounts::CommitFailed() {
  std::vector<cache::Ref> refs;
  for (size_t i = 0; i < actives_.size(); ++i) {
    const int64_t input = op_.mounts(static_cast<int>(i)).input();
    cache::Ref& ref = refs.emplace_back();
    if (input >= 0 && static_cast<size_t>(input) < inputs_.size()) {
      ref = inputs_[static_cast<size_t>(input)].Clone();
    }
    if (actives_[i] == nullptr) continue;
    StatusOr<cache::Ref> now = actives_[i]->Commit();
    if (now.ok()) ref = *std::move(now);
  }
  return refs;
}

StatusOr<cache::MountLease> StepMounts::MountForReading(size_t index) const {
  if (index >= sources_.size() || !sources_[index]) {
    return NotFoundError(StrCat("mountable ", index, " not found"));
  }
  ASSIGN_OR_RETURN(cache::MountLease lease, sources_[index]());
  for (cache::Mount& mount : lease.mounts) {
    std::erase(mount.options, "rw");
    mount.options.emplace_back("ro");
  }
  return lease;
}

}  // namespace kiln::worker
