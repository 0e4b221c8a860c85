// ContainerdLease: what the daemon keeps in containerd; containerd's collector spares it.
//
// One lease that outlives the daemon holds all of it, and so is also the list of what is ours.
// It is flat: what the labels of a blob refer to is not held with it.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/containerd/containerd_client.h"
#include "api/proto/containerd/leases.grpc.pb.h"
#include "base/status.h"

namespace kiln::api {

namespace ctd_leases = ::containerd::services::leases::v1;

// Thread-safe. Calls block, but not for ever: UNAVAILABLE if containerd does not answer.
class ContainerdLease {
 public:
  // "content" or "snapshots/NAME", and the digest or key.
  using Resource = std::pair<std::string, std::string>;
  // Makes the lease `id`, if it is not there.
  static StatusOr<std::shared_ptr<ContainerdLease>> Open(
      const std::string& address, const std::string& name_space, const std::string& id,
      const std::map<std::string, std::string>& labels);

  ContainerdClient& client() { return client_; }
  const std::string& id() const { return id_; }
  StatusOr<std::vector<Resource>> List();
  Status Add(const Resource& resource);
  Status Drop(const Resource& resource);  // missing is OK
  // For a lease that somebody takes away: it is made again with what it held by these.
  void Note(const Resource& resource);
  void Forget(const Resource& resource);
  // Runs containerd's collector to its end.
  Status Collect();

  static constexpr std::chrono::seconds kShort{60};
  static constexpr std::chrono::seconds kLong{1800};  // trees are copied, or collected
  // A call under the lease: what it makes is held. Waits a little for containerd to come back.
  template <typename Service, typename Request, typename Response>
  Status Call(Service& service,
              grpc::Status (Service::*method)(grpc::ClientContext*, const Request&, Response*),
              const Request& request, Response* response, std::chrono::seconds limit = kShort) {
    RETURN_IF_ERROR(client_.Connect());
    for (bool again : {true, false}) {
      grpc::ClientContext context;
      Use(context, limit);
      Status status = Explain(client_.CallIn(context, service, method, request, response));
      if (!again || !IsLost(status)) return status;
      RETURN_IF_ERROR(Restore());
    }
    return OkStatus();
  }
  // For calls that Call cannot make; IsLost then asks for Restore and another try.
  void Use(grpc::ClientContext& context, std::chrono::seconds limit) const;
  Status Explain(Status status) const;
  static bool IsLost(const Status& status);
  Status Restore();

 private:
  ContainerdLease(const std::string& address, const std::string& name_space, std::string id,
                  std::map<std::string, std::string> labels);
  template <typename Request, typename Response>
  Status Ask(grpc::Status (ctd_leases::Leases::Stub::*method)(grpc::ClientContext*, const Request&,
                                                              Response*),
             const Request& request, Response* response, std::chrono::seconds limit = kShort);
  Status Create(const std::string& id, const std::map<std::string, std::string>& labels);

  const std::string address_;
  const std::string id_;
  const std::map<std::string, std::string> labels_;
  ContainerdClient client_;
  std::unique_ptr<ctd_leases::Leases::Stub> leases_;
  std::mutex mutex_;
  std::set<Resource> held_;  // guarded by mutex_
};

}  // namespace kiln::api
