// See client.h.
#include "api/client/client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <thread>

#include "api/tunnel/go_error.h"
#include "api/proto/content.grpc.pb.h"
#include "api/proto/control.grpc.pb.h"
#include "api/proto/explain.grpc.pb.h"

namespace kiln::api {
namespace {

// Why there is no connection; OK if there is one.
Status Broken(Connection& connection, const grpc::Status& status) {
  if (!connection.failure().ok()) return connection.failure();
  bool doubtful = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                  status.error_message() == "Stream removed";
  return doubtful ? connection.Diagnose() : OkStatus();
}

// What a call ends with: the failure to connect comes first.
grpc::Status Outcome(Connection& connection, const grpc::Status& status) {
  if (status.ok()) return status;
  Status broken = Broken(connection, status);
  return broken.ok() ? status
                     : grpc::Status(grpc::StatusCode::UNAVAILABLE, broken.message());
}

template <typename Response, typename Reader>
Status ReadAll(Connection& connection, Reader& reader, grpc::ClientContext& context,
               std::string_view what, const std::function<Status(const Response&)>& each) {
  Response response;
  Status own;
  while (own.ok() && reader.Read(&response)) own = each(response);
  if (!own.ok()) context.TryCancel();
  grpc::Status status = reader.Finish();
  if (!own.ok() || status.ok()) return own;
  if (Broken(connection, status).ok()) return StreamError(status);
  Status failed = StreamOpenError(Outcome(connection, status));
  return what.empty() ? failed : Annotate(failed, what);
}

}  // namespace

StatusOr<std::unique_ptr<Client>> Client::Dial(const ConnectionOptions& options,
                                               std::chrono::seconds wait) {
  auto until = std::chrono::steady_clock::now() + wait;
  while (true) {
    ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, Connection::Open(options));
    std::unique_ptr<Client> client(new Client(std::move(connection)));
    if (wait.count() == 0) return client;
    control::InfoResponse response;
    Status status = client->Info(&response);
    if (status.ok() || status.code() == StatusCode::kUnimplemented) return client;
    if (status.code() != StatusCode::kUnavailable) return status;
    auto left = until - std::chrono::steady_clock::now();
    if (left.count() <= 0) {
      return DeadlineExceededError("DeadlineExceeded: context deadline exceeded");
    }
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, std::chrono::seconds(1)));
  }
}

Status Client::DiskUsage(const control::DiskUsageRequest& request,
                         control::DiskUsageResponse* response) {
  grpc::ClientContext context;
  grpc::Status status =
      control::Control::NewStub(connection_->channel())->DiskUsage(&context, request, response);
  return Annotate(UnaryError(Outcome(*connection_, status)), "failed to call diskusage");
}

Status Client::Prune(const control::PruneRequest& request,
                     const std::function<void(const control::UsageRecord&)>& each) {
  grpc::ClientContext context;
  auto stub = control::Control::NewStub(connection_->channel());
  auto reader = stub->Prune(&context, request);
  return ReadAll<control::UsageRecord>(*connection_, *reader, context, "",
                                       [&](const control::UsageRecord& record) {
                                         each(record);
                                         return OkStatus();
                                       });
}

Status Client::ListWorkers(const control::ListWorkersRequest& request,
                           control::ListWorkersResponse* response) {
  grpc::ClientContext context;
  grpc::Status status =
      control::Control::NewStub(connection_->channel())->ListWorkers(&context, request, response);
  return Annotate(UnaryError(Outcome(*connection_, status)), "failed to list workers");
}

Status Client::Info(control::InfoResponse* response) {
  grpc::ClientContext context;
  grpc::Status status =
      control::Control::NewStub(connection_->channel())->Info(&context, {}, response);
  return Annotate(UnaryError(Outcome(*connection_, status)), "failed to call info");
}

Status Client::Explain(const std::string& build, v1::ExplainResponse* response) {
  grpc::ClientContext context;
  v1::ExplainRequest request;
  request.set_build(build);
  grpc::Status status =
      v1::Explain::NewStub(connection_->channel())->Explain(&context, request, response);
  return Annotate(UnaryError(Outcome(*connection_, status)), "failed to call explain");
}

Status Client::ListenBuildHistory(
    const control::BuildHistoryRequest& request,
    const std::function<Status(const control::BuildHistoryEvent&)>& each, std::stop_token stop) {
  grpc::ClientContext context;
  auto stub = control::Control::NewStub(connection_->channel());
  auto reader = stub->ListenBuildHistory(&context, request);
  std::stop_callback cancel(stop, [&] { context.TryCancel(); });
  Status status =
      ReadAll<control::BuildHistoryEvent>(*connection_, *reader, context, "", each);
  if (!stop.stop_requested()) return status;
  return StreamError(grpc::Status(grpc::StatusCode::CANCELLED, "context canceled"));
}

Status Client::UpdateBuildHistory(const control::UpdateBuildHistoryRequest& request) {
  grpc::ClientContext context;
  control::UpdateBuildHistoryResponse response;
  grpc::Status status = control::Control::NewStub(connection_->channel())
                            ->UpdateBuildHistory(&context, request, &response);
  return UnaryError(Outcome(*connection_, status));
}

Status Client::WatchStatus(const std::string& ref, const std::function<void(SolveStatus)>& each) {
  grpc::ClientContext context;
  auto stub = control::Control::NewStub(connection_->channel());
  control::StatusRequest request;
  request.set_ref(ref);
  auto reader = stub->Status(&context, request);
  return ReadAll<control::StatusResponse>(*connection_, *reader, context, "",
                                          [&](const control::StatusResponse& response) {
                                            each(SolveStatusOf(response));
                                            return OkStatus();
                                          });
}

Status Client::ReadContent(const Digest& digest,
                           const std::function<Status(std::string_view)>& piece) {
  namespace content = ::containerd::services::content::v1;
  auto stub = content::Content::NewStub(connection_->channel());
  {
    grpc::ClientContext context;
    content::InfoRequest request;
    request.set_digest(digest.text());
    content::InfoResponse response;
    grpc::Status status = Outcome(*connection_, stub->Info(&context, request, &response));
    // containerd's client gives the text without a code.
    if (!status.ok()) return Status(static_cast<StatusCode>(status.error_code()), status.error_message());
    if (response.info().size() == 0) return OkStatus();
  }
  grpc::ClientContext context;
  content::ReadContentRequest request;
  request.set_digest(digest.text());
  auto reader = stub->Read(&context, request);
  return ReadAll<content::ReadContentResponse>(
      *connection_, *reader, context, "",
      [&](const content::ReadContentResponse& response) { return piece(response.data()); });
}

}  // namespace kiln::api
