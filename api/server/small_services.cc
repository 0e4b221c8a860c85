// Health (always serving) and the trace collector (takes spans and drops them).
#include <grpcpp/grpcpp.h>

#include "api/proto/health.grpc.pb.h"
#include "api/proto/otlp_collector.grpc.pb.h"
#include "api/server/services.h"

namespace kiln::api {
namespace {

namespace health = grpc::health::v1;
namespace otlp = opentelemetry::proto::collector::trace::v1;

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
