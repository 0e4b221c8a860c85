#include "api/containerd/proxy_snapshotter.h"

#include "api/containerd/snapshot_calls.h"

namespace kiln::api {
namespace {

constexpr char kOwnerLabel[] = "kiln/worker";

// Keeps nothing: what was made stays until it is removed.
class NoLease {
 public:
  NoLease(const std::string& address, const std::string& name_space)
      : client_(address, name_space) {}

  ContainerdClient& client() { return client_; }
  void Note(const ContainerdLease::Resource&) {}
  void Forget(const ContainerdLease::Resource&) {}
  template <typename Service, typename Request, typename Response>
  Status Call(Service& service,
              grpc::Status (Service::*method)(grpc::ClientContext*, const Request&, Response*),
              const Request& request, Response* response,
              std::chrono::seconds limit = ContainerdLease::kShort) {
    RETURN_IF_ERROR(client_.Connect());
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + limit);
    return client_.CallIn(context, service, method, request, response);
  }

 private:
  ContainerdClient client_;
};

class ProxySnapshotter : public SnapshotCalls<NoLease> {
 public:
  // If it is containerd that is behind the socket, its collector spares what is a root.
  explicit ProxySnapshotter(const ProxySnapshotterOptions& options)
      : SnapshotCalls(std::make_shared<NoLease>(options.address, options.name_space),
                      options.name,
                      {{kOwnerLabel, options.owner}, {"containerd.io/gc.root", options.owner}}) {}

  Status Remove(const std::string& key) override {
    ctd_snapshots::RemoveSnapshotRequest request;
    request.set_snapshotter(name_);
    request.set_key(key);
    google::protobuf::Empty response;
    Status removed =
        keeper_->Call(*snapshots_, &Stub::Remove, request, &response, ContainerdLease::kLong);
    return IsNotFound(removed) ? OkStatus() : removed;
  }

  StatusOr<std::vector<Info>> Walk() override {
    RETURN_IF_ERROR(keeper_->client().Connect());
    ASSIGN_OR_RETURN(std::vector<Info> found, List());
    std::erase_if(found, [this](const Info& info) {
      auto owner = info.labels.find(kOwnerLabel);
      return owner == info.labels.end() || owner->second != labels_.at(kOwnerLabel);
    });
    return found;
  }

  Status Collect() override { return OkStatus(); }
};

}  // namespace

std::unique_ptr<cache::Snapshotter> OpenProxySnapshotter(const ProxySnapshotterOptions& options) {
  return std::make_unique<ProxySnapshotter>(options);
}

}  // namespace kiln::api
