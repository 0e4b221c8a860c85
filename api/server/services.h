// The services of the server, each in a file of its own.
#pragma once

#include <memory>

#include "api/server/call_threads.h"
#include "api/server/server.h"

namespace grpc {
class Service;
}

namespace kiln::control {
class ClientFrontend;
}

namespace kiln::api {

// `parts` and `threads` outlive the service.
std::unique_ptr<grpc::Service> MakeControlService(const ServerParts& parts, CallThreads& threads);
std::unique_ptr<grpc::Service> MakeBridgeService(const ServerParts& parts, CallThreads& threads);
// The LLBBridge of one frontend, whatever the call's headers say.
std::unique_ptr<grpc::Service> MakeBridgeServiceFor(
    std::shared_ptr<control::ClientFrontend> frontend, const ServerParts& parts,
    CallThreads& threads);
std::unique_ptr<grpc::Service> MakeContentService(const ServerParts& parts, CallThreads& threads);
std::unique_ptr<grpc::Service> MakeExplainService(const ServerParts& parts, CallThreads& threads);
std::unique_ptr<grpc::Service> MakeHealthService();
std::unique_ptr<grpc::Service> MakeTraceService();

}  // namespace kiln::api
