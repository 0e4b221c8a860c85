// StepMounts: the mounts of an ExecOp as records, leases and outputs.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cache/ref.h"
#include "solver/op.h"
#include "worker/exec/executor.h"
#include "worker/op/op_deps.h"

namespace pb {
class ExecOp;
class Mount;
}  // namespace pb

namespace kiln::worker {

// Made for one run, used by one thread. Records that are no output go in the destructor.
class StepMounts {
 public:
  StepMounts(const OpDeps& deps, const pb::ExecOp& op, const std::vector<cache::Ref>& inputs,
             solver::JobContext& context);

  // Makes records and asks the client; mounts nothing yet.
  Status Prepare();
  const exec::ContainerMount& root() const { return root_; }
  const std::vector<exec::ContainerMount>& mounts() const { return mounts_; }
  bool readonly_root() const { return readonly_root_; }
  // Freezes the outputs, in their order. Call once, after the run.
  StatusOr<std::vector<cache::Ref>> Commit();
  // Instead of Commit, after a run that failed: what each mount of the op holds now, for
  // debuggers. Empty where there is nothing to keep (caches, secrets, scratch).
  std::vector<cache::Ref> CommitFailed();
  // One mount of the op again, read-only. NOT_FOUND if there is nothing at `index`.
  StatusOr<cache::MountLease> MountForReading(size_t index) const;

 private:
  using Source = std::function<StatusOr<cache::MountLease>()>;
  struct Output {
    std::shared_ptr<cache::MutableRef> active;  // either this
    cache::Ref same;                            // or an input, unchanged
  };
  Status Add(const pb::Mount& mount);
  StatusOr<Source> MakeSource(const pb::Mount& mount, const cache::Ref* input);
  StatusOr<Source> Bind(const pb::Mount& mount, const cache::Ref* input);
  StatusOr<Source> Cache(const pb::Mount& mount, const cache::Ref* input);
  StatusOr<Source> Secret(const pb::Mount& mount);
  StatusOr<Source> Ssh(const pb::Mount& mount);
  StatusOr<std::shared_ptr<cache::MutableRef>> NewActive(const pb::Mount& mount,
                                                         const cache::Ref* input);
  Source MountActive(const pb::Mount& mount, std::shared_ptr<cache::MutableRef> active);

  const OpDeps& deps_;
  const pb::ExecOp& op_;
  const std::vector<cache::Ref>& inputs_;
  solver::JobContext& context_;
  std::string command_;
  exec::ContainerMount root_;
  bool readonly_root_ = false;
  std::vector<exec::ContainerMount> mounts_;
  std::vector<Output> outputs_;
  // By mount of the op; empty where it has none.
  std::vector<Source> sources_;
  std::vector<std::shared_ptr<cache::MutableRef>> actives_;
  std::map<std::string, std::shared_ptr<cache::MutableRef>> own_caches_;
};

}  // namespace kiln::worker
