#include "api/containerd/containerd_lease.h"

#include <grpcpp/grpcpp.h>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"

namespace kiln::api {
namespace {

using Stub = ctd_leases::Leases::Stub;

// What a manifest that the history keeps leads to is not kept with it.
std::map<std::string, std::string> FlatLabels(std::map<std::string, std::string> labels) {
  labels["containerd.io/gc.flat"] = FormatRfc3339(Now());
  return labels;
}

}  // namespace

ContainerdLease::ContainerdLease(const std::string& address, const std::string& name_space,
                                 std::string id, std::map<std::string, std::string> labels)
    : address_(address),
      id_(std::move(id)),
      labels_(FlatLabels(std::move(labels))),
      client_(address, name_space),
      leases_(ctd_leases::Leases::NewStub(client_.channel())) {}

StatusOr<std::shared_ptr<ContainerdLease>> ContainerdLease::Open(
    const std::string& address, const std::string& name_space, const std::string& id,
    const std::map<std::string, std::string>& labels) {
  std::shared_ptr<ContainerdLease> lease(new ContainerdLease(address, name_space, id, labels));
  RETURN_IF_ERROR(lease->client_.Connect());
  RETURN_IF_ERROR(lease->Create(id, lease->labels_));
  return lease;
}

void ContainerdLease::Use(grpc::ClientContext& context, std::chrono::seconds limit) const {
  context.set_deadline(std::chrono::system_clock::now() + limit);
  context.AddMetadata("containerd-lease", id_);
}

Status ContainerdLease::Explain(Status status) const {
  const bool silent = status.code() == StatusCode::kDeadlineExceeded;
  if (!silent && status.code() != StatusCode::kUnavailable) return status;
  return UnavailableError(StrCat("containerd does not answer at ", address_, ": ",
                                 silent ? "it takes too long" : status.message()));
}

bool ContainerdLease::IsLost(const Status& status) {
  return IsNotFound(status) && Contains(status.message(), "lease does not exist");
}

template <typename Request, typename Response>
Status ContainerdLease::Ask(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                         Response*),
                            const Request& request, Response* response,
                            std::chrono::seconds limit) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + limit);
  return Explain(client_.CallIn(context, *leases_, method, request, response));
}

Status ContainerdLease::Create(const std::string& id,
                               const std::map<std::string, std::string>& labels) {
  ctd_leases::CreateRequest request;
  request.set_id(id);
  request.mutable_labels()->insert(labels.begin(), labels.end());
  ctd_leases::CreateResponse response;
  Status created = Ask(&Stub::Create, request, &response);
  return created.code() == StatusCode::kAlreadyExists ? OkStatus() : created;
}

StatusOr<std::vector<ContainerdLease::Resource>> ContainerdLease::List() {
  ctd_leases::ListResourcesRequest request;
  request.set_id(id_);
  ctd_leases::ListResourcesResponse response;
  RETURN_IF_ERROR(Ask(&Stub::ListResources, request, &response));
  std::vector<Resource> found;
  for (const ctd_leases::Resource& resource : response.resources()) {
    found.emplace_back(resource.type(), resource.id());
  }
  return found;
}

Status ContainerdLease::Add(const Resource& resource) {
  ctd_leases::AddResourceRequest request;
  request.set_id(id_);
  request.mutable_resource()->set_type(resource.first);
  request.mutable_resource()->set_id(resource.second);
  google::protobuf::Empty response;
  Status added = Ask(&Stub::AddResource, request, &response);
  if (IsNotFound(added)) {
    RETURN_IF_ERROR(Restore());
    added = Ask(&Stub::AddResource, request, &response);
  }
  if (added.ok()) Note(resource);
  return added;
}

Status ContainerdLease::Drop(const Resource& resource) {
  Forget(resource);
  ctd_leases::DeleteResourceRequest request;
  request.set_id(id_);
  request.mutable_resource()->set_type(resource.first);
  request.mutable_resource()->set_id(resource.second);
  google::protobuf::Empty response;
  Status dropped = Ask(&Stub::DeleteResource, request, &response);
  return IsNotFound(dropped) ? OkStatus() : dropped;
}

void ContainerdLease::Note(const Resource& resource) {
  std::lock_guard lock(mutex_);
  held_.insert(resource);
}

void ContainerdLease::Forget(const Resource& resource) {
  std::lock_guard lock(mutex_);
  held_.erase(resource);
}

Status ContainerdLease::Restore() {
  log::Warning(StrCat("the lease ", id_, " is gone from containerd; it is made again"));
  RETURN_IF_ERROR(Create(id_, labels_));
  std::set<Resource> held;
  {
    std::lock_guard lock(mutex_);
    held = held_;
  }
  for (const Resource& resource : held) {
    ctd_leases::AddResourceRequest request;
    request.set_id(id_);
    request.mutable_resource()->set_type(resource.first);
    request.mutable_resource()->set_id(resource.second);
    google::protobuf::Empty response;
    RETURN_IF_ERROR(Ask(&Stub::AddResource, request, &response));
  }
  return OkStatus();
}

// As containerd's own tools do it: the end of a lease may wait for the collector.
Status ContainerdLease::Collect() {
  constexpr int64_t kHour = int64_t{3600} * 1'000'000'000;
  const std::string id = StrCat("kiln-collect-", NewId());
  const Time now = Now();
  RETURN_IF_ERROR(
      Create(id, {{"buildkit/lease.temporary", FormatRfc3339(now)},
                  {"containerd.io/gc.expire", FormatRfc3339(Time{now.nanos + kHour})}}));
  ctd_leases::DeleteRequest request;
  request.set_id(id);
  request.set_sync(true);
  google::protobuf::Empty response;
  return Ask(&Stub::Delete, request, &response, kLong);
}

}  // namespace kiln::api
