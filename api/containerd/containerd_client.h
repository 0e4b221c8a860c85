// ContainerdClient: calls of containerd's API in one of its namespaces.
#pragma once

#include <google/protobuf/any.pb.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "api/proto/containerd/containers.grpc.pb.h"
#include "api/proto/containerd/introspection.grpc.pb.h"
#include "api/proto/containerd/tasks.grpc.pb.h"
#include "base/status.h"

namespace kiln::api {

namespace ctd_containers = ::containerd::services::containers::v1;
namespace ctd_introspection = ::containerd::services::introspection::v1;
namespace ctd_tasks = ::containerd::services::tasks::v1;

// Thread-safe. Calls block; their errors keep containerd's code and words.
class ContainerdClient {
 public:
  // `address` is a path, perhaps with unix:// before it. Connects with the first call.
  ContainerdClient(const std::string& address, std::string name_space);

  template <typename Service, typename Request, typename Response>
  Status Call(Service& service,
              grpc::Status (Service::*method)(grpc::ClientContext*, const Request&, Response*),
              const Request& request, Response* response) {
    grpc::ClientContext context;
    return CallIn(context, service, method, request, response);
  }
  // With a context of the caller's, who can cancel it.
  template <typename Service, typename Request, typename Response>
  Status CallIn(grpc::ClientContext& context, Service& service,
                grpc::Status (Service::*method)(grpc::ClientContext*, const Request&, Response*),
                const Request& request, Response* response) {
    Prepare(context);
    grpc::Status status = (service.*method)(&context, request, response);
    return {static_cast<StatusCode>(status.error_code()), status.error_message()};
  }

  // Waits a little for somebody at the address, as after a restart of containerd; who comes
  // soon after a wait that was in vain waits hardly at all. UNAVAILABLE, with the address, if
  // nobody comes.
  Status Connect();
  // The same for work that nobody waits for: hardly waits at all.
  Status ConnectAtOnce();

  // For calls that CallIn cannot make.
  void Prepare(grpc::ClientContext& context) const {
    context.AddMetadata("containerd-namespace", namespace_);
  }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  ctd_containers::Containers::Stub& containers() { return *containers_; }
  ctd_introspection::Introspection::Stub& introspection() { return *introspection_; }
  ctd_tasks::Tasks::Stub& tasks() { return *tasks_; }

 private:
  Status ConnectIn(std::chrono::milliseconds wait);

  std::string address_;
  std::string namespace_;
  std::atomic<std::chrono::steady_clock::time_point> missed_{};  // end of the last wait in vain
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<ctd_containers::Containers::Stub> containers_;
  std::unique_ptr<ctd_introspection::Introspection::Stub> introspection_;
  std::unique_ptr<ctd_tasks::Tasks::Stub> tasks_;
};

// JSON of OCI's runtime spec ("Spec", "Process") as containerd wants it wrapped.
google::protobuf::Any RuntimeSpecAny(std::string_view kind, std::string json);

}  // namespace kiln::api
