// Health (always serving) and the trace collector (takes spans and drops them).
#include <grpcpp/grpcpp.h>

#include "api/proto/health.grpc.pb.h"
#include "api/proto/otlp_collector.grpc.pb.h"
#include "api/server/services.h"

namespace kiln::api {
namespace {

namespace health = grpc::health::v1;
namespace otlp = opentelemetry::proto::collector::trace::v1;

// Says the state once; it does not change until the server ends and the call with it.
class HealthWatch : public grpc::ServerWriteReactor<health::HealthCheckResponse> {
 public:
  explicit HealthWatch(health::HealthCheckResponse::ServingStatus status) {
    response_.set_status(status);
    StartWrite(&response_);
  }
  void OnCancel() override { Finish(grpc::Status(grpc::StatusCode::CANCELLED, "Stream has ended.")); }
  void OnDone() override { delete this; }

 private:
  health::HealthCheckResponse response_;
};

class HealthService : public health::Health::CallbackService {
 public:
  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const health::HealthCheckRequest* request,
                                  health::HealthCheckResponse* response) override {
    auto* reactor = context->DefaultReactor();
    if (!request->service().empty()) {
      reactor->Finish(grpc::Status(grpc::StatusCode::NOT_FOUND, "unknown service"));
      return reactor;
    }
    response->set_status(health::HealthCheckResponse::SERVING);
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const health::HealthListRequest*,
                                 health::HealthListResponse* response) override {
    auto* reactor = context->DefaultReactor();
    (*response->mutable_statuses())[""].set_status(health::HealthCheckResponse::SERVING);
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerWriteReactor<health::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext*, const health::HealthCheckRequest* request) override {
    return new HealthWatch(request->service().empty()
                               ? health::HealthCheckResponse::SERVING
                               : health::HealthCheckResponse::SERVICE_UNKNOWN);
  }
};

class TraceService : public otlp::TraceService::CallbackService {
 public:
  grpc::ServerUnaryReactor* Export(grpc::CallbackServerContext* context,
                                   const otlp::ExportTraceServiceRequest*,
                                   otlp::ExportTraceServiceResponse*) override {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

}  // namespace

std::unique_ptr<grpc::Service> MakeHealthService() { return std::make_unique<HealthService>(); }
std::unique_ptr<grpc::Service> MakeTraceService() { return std::make_unique<TraceService>(); }

}  // namespace kiln::api
