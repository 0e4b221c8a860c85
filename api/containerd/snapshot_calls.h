// SnapshotCalls: containerd's Snapshots service, as far as it is the same for whoever keeps
// what is made there. Internal to api/containerd; only the .cc files of snapshotters use it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/containerd/containerd_lease.h"
#include "api/proto/containerd/snapshots.grpc.pb.h"
#include "base/strings.h"
#include "cache/snapshot/snapshotter.h"

namespace kiln::api {

namespace ctd_snapshots = ::containerd::services::snapshots::v1;

template <typename Response>
std::vector<cache::Mount> SnapshotMountsOf(const Response& response) {
  std::vector<cache::Mount> mounts;
  for (const ::containerd::types::Mount& mount : response.mounts()) {
    mounts.push_back({mount.type(), mount.source(),
                      {mount.options().begin(), mount.options().end()}});
  }
  return mounts;
}

// Keeper: has client() and Call, Note and Forget as ContainerdLease has them. `labels` are
// those of all that is made.
template <typename Keeper>
class SnapshotCalls : public cache::Snapshotter {
 public:
  using Stub = ctd_snapshots::Snapshots::Stub;
  using Mount = cache::Mount;

  SnapshotCalls(std::shared_ptr<Keeper> keeper, const std::string& name,
                std::map<std::string, std::string> labels)
      : keeper_(std::move(keeper)),
        name_(name),
        type_(StrCat("snapshots/", name)),
        labels_(std::move(labels)),
        snapshots_(ctd_snapshots::Snapshots::NewStub(keeper_->client().channel())) {}

  StatusOr<std::vector<Mount>> Prepare(const std::string& key, const std::string& parent) override {
    ctd_snapshots::PrepareSnapshotRequest request;
    request.set_snapshotter(name_);
    request.set_key(key);
    request.set_parent(parent);
    request.mutable_labels()->insert(labels_.begin(), labels_.end());
    ctd_snapshots::PrepareSnapshotResponse response;
    RETURN_IF_ERROR(keeper_->Call(*snapshots_, &Stub::Prepare, request, &response,
                                 ContainerdLease::kLong));
    keeper_->Note({type_, key});
    return SnapshotMountsOf(response);
  }

  StatusOr<std::vector<Mount>> View(const std::string& key, const std::string& parent) override {
    ctd_snapshots::ViewSnapshotRequest request;
    request.set_snapshotter(name_);
    request.set_key(key);
    request.set_parent(parent);
    request.mutable_labels()->insert(labels_.begin(), labels_.end());
    ctd_snapshots::ViewSnapshotResponse response;
    RETURN_IF_ERROR(keeper_->Call(*snapshots_, &Stub::View, request, &response));
    keeper_->Note({type_, key});
    return SnapshotMountsOf(response);
  }

  StatusOr<std::vector<Mount>> Mounts(const std::string& key) override {
    ctd_snapshots::MountsRequest request;
    request.set_snapshotter(name_);
    request.set_key(key);
    ctd_snapshots::MountsResponse response;
    RETURN_IF_ERROR(keeper_->Call(*snapshots_, &Stub::Mounts, request, &response));
    return SnapshotMountsOf(response);
  }

  Status Commit(const std::string& name, const std::string& key,
                const std::map<std::string, std::string>& labels) override {
    ctd_snapshots::CommitSnapshotRequest request;
    request.set_snapshotter(name_);
    request.set_name(name);
    request.set_key(key);
    request.mutable_labels()->insert(labels_.begin(), labels_.end());
    request.mutable_labels()->insert(labels.begin(), labels.end());
    google::protobuf::Empty response;
    RETURN_IF_ERROR(keeper_->Call(*snapshots_, &Stub::Commit, request, &response,
                                 ContainerdLease::kLong));
    keeper_->Forget({type_, key});
    keeper_->Note({type_, name});
    return OkStatus();
  }

  StatusOr<Info> Stat(const std::string& key) override {
    ctd_snapshots::StatSnapshotRequest request;
    request.set_snapshotter(name_);
    request.set_key(key);
    ctd_snapshots::StatSnapshotResponse response;
    RETURN_IF_ERROR(keeper_->Call(*snapshots_, &Stub::Stat, request, &response));
    return InfoOf(response.info());
  }

 protected:
  // All that are there, whoever made them. Calls are explained by the caller.
  StatusOr<std::vector<Info>> List() {
    std::vector<Info> found;
    ctd_snapshots::ListSnapshotsRequest request;
    request.set_snapshotter(name_);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + ContainerdLease::kShort);
    keeper_->client().Prepare(context);
    auto stream = snapshots_->List(&context, request);
    for (ctd_snapshots::ListSnapshotsResponse response; stream->Read(&response);) {
      for (const ctd_snapshots::Info& info : response.info()) found.push_back(InfoOf(info));
    }
    const grpc::Status status = stream->Finish();
    if (status.ok()) return found;
    return Status(static_cast<StatusCode>(status.error_code()), status.error_message());
  }
  static Info InfoOf(const ctd_snapshots::Info& info) {
    return {info.name(), info.parent(), info.kind() == ctd_snapshots::COMMITTED,
            {info.labels().begin(), info.labels().end()}};
  }

  const std::shared_ptr<Keeper> keeper_;
  const std::string name_;
  const std::string type_;  // of its resources in a lease
  const std::map<std::string, std::string> labels_;
  const std::unique_ptr<Stub> snapshots_;
};

}  // namespace kiln::api
