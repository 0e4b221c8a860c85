#include "api/containerd/containerd_snapshotter.h"

#include <set>

#include "api/containerd/snapshot_calls.h"
#include "base/log.h"

namespace kiln::api {
namespace {

class ContainerdSnapshotter : public SnapshotCalls<ContainerdLease> {
 public:
  ContainerdSnapshotter(std::shared_ptr<ContainerdLease> lease, const std::string& name)
      : SnapshotCalls(std::move(lease), name, {}) {}

  // Does not wait for a containerd that is away: the caller comes again.
  Status Remove(const std::string& key) override {
    ctd_snapshots::RemoveSnapshotRequest request;
    request.set_snapshotter(name_);
    request.set_key(key);
    google::protobuf::Empty response;
    grpc::ClientContext context;
    keeper_->Use(context, ContainerdLease::kLong);
    Status removed = keeper_->Explain(
        keeper_->client().CallIn(context, *snapshots_, &Stub::Remove, request, &response));
    if (ContainerdLease::IsLost(removed)) {
      RETURN_IF_ERROR(keeper_->Restore());
      return Remove(key);
    }
    if (removed.ok() || IsNotFound(removed)) keeper_->Forget({type_, key});
    return IsNotFound(removed) ? OkStatus() : removed;
  }

  StatusOr<std::vector<Info>> Walk() override {
    ASSIGN_OR_RETURN(std::set<std::string> ours, Held());
    StatusOr<std::vector<Info>> found = List();
    if (!found.ok()) return keeper_->Explain(found.status());
    std::erase_if(*found, [&](const Info& info) { return ours.erase(info.name) == 0; });
    for (const Info& info : *found) keeper_->Note({type_, info.name});
    for (const std::string& gone : ours) RETURN_IF_ERROR(keeper_->Drop({type_, gone}));
    return found;
  }

  Status Collect() override { return keeper_->Collect(); }

 private:
  // What the lease says is ours.
  StatusOr<std::set<std::string>> Held() {
    ASSIGN_OR_RETURN(std::vector<ContainerdLease::Resource> held, keeper_->List());
    std::set<std::string> ours;
    size_t others = 0;
    for (const auto& [type, key] : held) {
      if (type == type_) {
        ours.insert(key);
      } else if (type.starts_with("snapshots/")) {
        RETURN_IF_ERROR(keeper_->Drop({type, key}));
        ++others;
      }
    }
    if (others != 0) {
      log::Info(StrCat("giving up ", others, " snapshots of another snapshotter than ", name_));
    }
    return ours;
  }
};

}  // namespace

std::unique_ptr<cache::Snapshotter> OpenContainerdSnapshotter(
    std::shared_ptr<ContainerdLease> lease, const std::string& name) {
  return std::make_unique<ContainerdSnapshotter>(std::move(lease), name);
}

}  // namespace kiln::api
