#include "api/containerd/containerd_snapshotter.h"

#include <grpcpp/grpcpp.h>

#include <set>

#include "api/proto/containerd/snapshots.grpc.pb.h"
#include "base/log.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

namespace ctd_snapshots = ::containerd::services::snapshots::v1;
using Stub = ctd_snapshots::Snapshots::Stub;
using cache::Mount;

template <typename Response>
std::vector<Mount> MountsOf(const Response& response) {
  std::vector<Mount> mounts;
  for (const ::containerd::types::Mount& mount : response.mounts()) {
    mounts.push_back({mount.type(), mount.source(),
                      {mount.options().begin(), mount.options().end()}});
  }
  return mounts;
}

class ContainerdSnapshotter : public cache::Snapshotter {
 public:
  ContainerdSnapshotter(std::shared_ptr<ContainerdLease> lease, const std::string& name)
      : lease_(std::move(lease)),
        name_(name),
        type_(StrCat("snapshots/", name)),
        snapshots_(ctd_snapshots::Snapshots::NewStub(lease_->client().channel())) {}

  StatusOr<std::vector<Mount>> Prepare(const std::string& key, const std::string& parent) override {
    ctd_snapshots::PrepareSnapshotRequest request;
    request.set_snapshotter(name_);
    request.set_key(key);
    request.set_parent(parent);
    ctd_snapshots::PrepareSnapshotResponse response;
    RETURN_IF_ERROR(lease_->Call(*snapshots_, &Stub::Prepare, request, &response,
                                 ContainerdLease::kLong));
    lease_->Note({type_, key});
    return MountsOf(response);
  }

  StatusOr<std::vector<Mount>> View(const std::string& key, const std::string& parent) override {
    ctd_snapshots::ViewSnapshotRequest request;
    request.set_snapshotter(name_);
    request.set_key(key);
    request.set_parent(parent);
    ctd_snapshots::ViewSnapshotResponse response;
    RETURN_IF_ERROR(lease_->Call(*snapshots_, &Stub::View, request, &response));
    lease_->Note({type_, key});
    return MountsOf(response);
  }

  StatusOr<std::vector<Mount>> Mounts(const std::string& key) override {
    ctd_snapshots::MountsRequest request;
    request.set_snapshotter(name_);
    request.set_key(key);
    ctd_snapshots::MountsResponse response;
    RETURN_IF_ERROR(lease_->Call(*snapshots_, &Stub::Mounts, request, &response));
    return MountsOf(response);
  }

  Status Commit(const std::string& name, const std::string& key,
                const std::map<std::string, std::string>& labels) override {
    ctd_snapshots::CommitSnapshotRequest request;
    request.set_snapshotter(name_);
    request.set_name(name);
    request.set_key(key);
    request.mutable_labels()->insert(labels.begin(), labels.end());
    google::protobuf::Empty response;
    RETURN_IF_ERROR(lease_->Call(*snapshots_, &Stub::Commit, request, &response,
                                 ContainerdLease::kLong));
    lease_->Forget({type_, key});
    lease_->Note({type_, name});
    return OkStatus();
  }

  // Does not wait for a containerd that is away: the caller comes again.
  Status Remove(const std::string& key) override {
    ctd_snapshots::RemoveSnapshotRequest request;
    request.set_snapshotter(name_);
    request.set_key(key);
    google::protobuf::Empty response;
    grpc::ClientContext context;
    lease_->Use(context, ContainerdLease::kLong);
    Status removed = lease_->Explain(
        lease_->client().CallIn(context, *snapshots_, &Stub::Remove, request, &response));
    if (ContainerdLease::IsLost(removed)) {
      RETURN_IF_ERROR(lease_->Restore());
      return Remove(key);
    }
    if (removed.ok() || IsNotFound(removed)) lease_->Forget({type_, key});
    return IsNotFound(removed) ? OkStatus() : removed;
  }

  StatusOr<Info> Stat(const std::string& key) override {
    ctd_snapshots::StatSnapshotRequest request;
    request.set_snapshotter(name_);
    request.set_key(key);
    ctd_snapshots::StatSnapshotResponse response;
    RETURN_IF_ERROR(lease_->Call(*snapshots_, &Stub::Stat, request, &response));
    return InfoOf(response.info());
  }

  StatusOr<std::vector<Info>> Walk() override {
    ASSIGN_OR_RETURN(std::set<std::string> ours, Held());
    std::vector<Info> found;
    ctd_snapshots::ListSnapshotsRequest request;
    request.set_snapshotter(name_);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + ContainerdLease::kShort);
    lease_->client().Prepare(context);
    auto stream = snapshots_->List(&context, request);
    for (ctd_snapshots::ListSnapshotsResponse response; stream->Read(&response);) {
      for (const ctd_snapshots::Info& info : response.info()) {
        if (ours.erase(info.name()) == 0) continue;
        lease_->Note({type_, info.name()});
        found.push_back(InfoOf(info));
      }
    }
    const grpc::Status status = stream->Finish();
    RETURN_IF_ERROR(lease_->Explain(
        Status(static_cast<StatusCode>(status.error_code()), status.error_message())));
    for (const std::string& gone : ours) RETURN_IF_ERROR(lease_->Drop({type_, gone}));
    return found;
  }

  Status Collect() override { return lease_->Collect(); }

 private:
  // What the lease says is ours.
  StatusOr<std::set<std::string>> Held() {
    ASSIGN_OR_RETURN(std::vector<ContainerdLease::Resource> held, lease_->List());
    std::set<std::string> ours;
    size_t others = 0;
    for (const auto& [type, key] : held) {
      if (type == type_) {
        ours.insert(key);
      } else if (type.starts_with("snapshots/")) {
        RETURN_IF_ERROR(lease_->Drop({type, key}));
        ++others;
      }
    }
    if (others != 0) {
      log::Info(StrCat("giving up ", others, " snapshots of another snapshotter than ", name_));
    }
    return ours;
  }

  static Info InfoOf(const ctd_snapshots::Info& info) {
    return {info.name(), info.parent(), info.kind() == ctd_snapshots::COMMITTED,
            {info.labels().begin(), info.labels().end()}};
  }

  std::shared_ptr<ContainerdLease> lease_;
  const std::string name_;
  const std::string type_;  // of its resources in a lease
  std::unique_ptr<Stub> snapshots_;
};

}  // namespace

std::unique_ptr<cache::Snapshotter> OpenContainerdSnapshotter(
    std::shared_ptr<ContainerdLease> lease, const std::string& name) {
  return std::make_unique<ContainerdSnapshotter>(std::move(lease), name);
}

}  // namespace kiln::api
