// A second gRPC server with one service.
#include "api/server/trace_collector.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/service_type.h>

#include "api/server/acceptors.h"
#include "api/server/services.h"

namespace kiln::api {

struct TraceCollector::State {
  std::unique_ptr<grpc::Service> service = MakeTraceService();
  std::unique_ptr<grpc::Server> server;
  Acceptors acceptors;
};

TraceCollector::TraceCollector() : state_(std::make_unique<State>()) {}

StatusOr<std::unique_ptr<TraceCollector>> TraceCollector::Open(UniqueFd socket) {
  std::unique_ptr<TraceCollector> collector(new TraceCollector);
  State& state = *collector->state_;
  grpc::ServerBuilder builder;
  builder.RegisterService(state.service.get());
  state.server = builder.BuildAndStart();
  if (state.server == nullptr) return UnknownError("could not start the trace collector");
  RETURN_IF_ERROR(state.acceptors.Add(std::move(socket), Acceptors::ToServer(*state.server)));
  return collector;
}

TraceCollector::~TraceCollector() {
  state_->acceptors.Stop();
  if (state_->server == nullptr) return;
  // Nobody waits for what a step sends last.
  state_->server->Shutdown(std::chrono::system_clock::now());
  state_->server->Wait();
}

}  // namespace kiln::api
