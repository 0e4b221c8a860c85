// Client: calls of the Control API, one method each, errors in the reference's words.
//
// Builds are build.h; what a client serves during one is session.h.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "api/client/connection.h"
#include "api/client/display/solve_status.h"
#include "base/digest.h"
#include "base/status.h"

namespace moby::buildkit::v1 {
class BuildHistoryEvent;
class BuildHistoryRequest;
class DiskUsageRequest;
class DiskUsageResponse;
class InfoResponse;
class ListWorkersRequest;
class ListWorkersResponse;
class PruneRequest;
class StatusResponse;
class UpdateBuildHistoryRequest;
class UsageRecord;
}  // namespace moby::buildkit::v1

namespace kiln::v1 {
class ExplainResponse;
}

namespace kiln::api {

namespace control = ::moby::buildkit::v1;

// Thread-safe, blocking.
class Client {
 public:
  // `wait` above zero: tries until a daemon answers or so much time is over.
  static StatusOr<std::unique_ptr<Client>> Dial(const ConnectionOptions& options,
                                                std::chrono::seconds wait = {});

  Status DiskUsage(const control::DiskUsageRequest& request, control::DiskUsageResponse* response);
  Status Prune(const control::PruneRequest& request,
               const std::function<void(const control::UsageRecord&)>& each);
  Status ListWorkers(const control::ListWorkersRequest& request,
                     control::ListWorkersResponse* response);
  Status Info(control::InfoResponse* response);
  // Why the steps of a build ran; "" is the last build. Only Kiln answers.
  Status Explain(const std::string& build, v1::ExplainResponse* response);
  // Ends when the daemon does, with the first error of `each`, or with `stop`.
  Status ListenBuildHistory(const control::BuildHistoryRequest& request,
                            const std::function<Status(const control::BuildHistoryEvent&)>& each,
                            std::stop_token stop = {});
  Status UpdateBuildHistory(const control::UpdateBuildHistoryRequest& request);
  Status WatchStatus(const std::string& ref, const std::function<void(SolveStatus)>& each);
  // A blob of the daemon's content store, piece by piece.
  Status ReadContent(const Digest& digest, const std::function<Status(std::string_view)>& piece);

  Connection& connection() { return *connection_; }

 private:
  explicit Client(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
  std::unique_ptr<Connection> connection_;
};

SolveStatus SolveStatusOf(const control::StatusResponse& response);

}  // namespace kiln::api
