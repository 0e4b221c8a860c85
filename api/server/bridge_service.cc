// moby.buildkit.v1.frontend.LLBBridge for clients that drive their build.
//
// The header buildkit-controlapi-buildid says which build a call belongs to.
#include <grpcpp/grpcpp.h>

#include "api/proto/gateway.grpc.pb.h"
#include "api/server/bridge_calls.h"
#include "api/server/reactor.h"
#include "api/server/services.h"
#include "api/tunnel/session_headers.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

std::string BuildIdOf(const Context& context) {
  auto entry = context.client_metadata().find(grpc::string_ref(kBuildId.data(), kBuildId.size()));
  if (entry == context.client_metadata().end()) return "";
  return {entry->second.data(), entry->second.size()};
}

class BridgeService : public gateway::LLBBridge::CallbackService {
 public:
  BridgeService(const ServerParts& parts, CallThreads& threads)
      : parts_(parts), threads_(threads) {}

  Reactor* ResolveImageConfig(Context* context, const gateway::ResolveImageConfigRequest* request,
                              gateway::ResolveImageConfigResponse* response) override {
    return Forward(context, "ResolveImageConfig", [=](ClientFrontend& f, std::stop_token stop) {
      return api::ResolveImageConfig(f, *request, stop, response);
    });
  }
  Reactor* ResolveSourceMeta(Context* context, const gateway::ResolveSourceMetaRequest* request,
                             gateway::ResolveSourceMetaResponse* response) override {
    return Forward(context, "ResolveSourceMeta", [=](ClientFrontend& f, std::stop_token stop) {
      return api::ResolveSourceMeta(f, *request, stop, response);
    });
  }
  Reactor* Solve(Context* context, const gateway::SolveRequest* request,
                 gateway::SolveResponse* response) override {
    return Forward(context, "Solve", [=](ClientFrontend& f, std::stop_token stop) {
      return SolveForFrontend(f, *request, stop, response);
    });
  }
  Reactor* ReadFile(Context* context, const gateway::ReadFileRequest* request,
                    gateway::ReadFileResponse* response) override {
    return Forward(context, "ReadFile", [=](ClientFrontend& f, std::stop_token) {
      return api::ReadFile(f, *request, response);
    });
  }
  Reactor* ReadDir(Context* context, const gateway::ReadDirRequest* request,
                   gateway::ReadDirResponse* response) override {
    return Forward(context, "ReadDir", [=](ClientFrontend& f, std::stop_token) {
      return api::ReadDir(f, *request, response);
    });
  }
  Reactor* StatFile(Context* context, const gateway::StatFileRequest* request,
                    gateway::StatFileResponse* response) override {
    return Forward(context, "StatFile", [=](ClientFrontend& f, std::stop_token) {
      return api::StatFile(f, *request, response);
    });
  }
  Reactor* Evaluate(Context* context, const gateway::EvaluateRequest* request,
                    gateway::EvaluateResponse*) override {
    return Forward(context, "Evaluate", [=](ClientFrontend& f, std::stop_token) {
      return api::Evaluate(f, *request);
    });
  }
  Reactor* Ping(Context* context, const gateway::PingRequest*,
                gateway::PongResponse* response) override {
    return Forward(context, "Ping", [=, this](ClientFrontend&, std::stop_token) {
      Pong(parts_, response);
      return OkStatus();
    });
  }
  Reactor* Return(Context* context, const gateway::ReturnRequest* request,
                  gateway::ReturnResponse*) override {
    return Forward(context, "Return", [=](ClientFrontend& f, std::stop_token) {
      return api::Return(f, *request);
    });
  }
  Reactor* Inputs(Context* context, const gateway::InputsRequest*,
                  gateway::InputsResponse* response) override {
    return Forward(context, "Inputs", [=](ClientFrontend& f, std::stop_token) {
      return api::Inputs(f, response);
    });
  }
  Reactor* Warn(Context* context, const gateway::WarnRequest* request,
                gateway::WarnResponse*) override {
    return Forward(context, "Warn", [=](ClientFrontend& f, std::stop_token) {
      return api::Warn(f, *request);
    });
  }

  Reactor* NewContainer(Context* context, const gateway::NewContainerRequest*,
                        gateway::NewContainerResponse*) override {
    return Refuse(context, "NewContainer");
  }
  Reactor* ReleaseContainer(Context* context, const gateway::ReleaseContainerRequest*,
                            gateway::ReleaseContainerResponse*) override {
    return Refuse(context, "ReleaseContainer");
  }
  Reactor* ReadFileContainer(Context* context, const gateway::ReadFileRequest*,
                             gateway::ReadFileResponse*) override {
    return Refuse(context, "ReadFileContainer");
  }
  Reactor* ReadDirContainer(Context* context, const gateway::ReadDirRequest*,
                            gateway::ReadDirResponse*) override {
    return Refuse(context, "ReadDirContainer");
  }
  Reactor* StatFileContainer(Context* context, const gateway::StatFileRequest*,
                             gateway::StatFileResponse*) override {
    return Refuse(context, "StatFileContainer");
  }
  grpc::ServerBidiReactor<gateway::ExecMessage, gateway::ExecMessage>* ExecProcess(
      Context*) override {
    return BidiCall<gateway::ExecMessage, gateway::ExecMessage>::Start(
        threads_, [](auto&, std::stop_token) -> Status {
          return UnimplementedError("method ExecProcess not implemented");
        });
  }

 private:
  using Call = std::function<Status(ClientFrontend&, std::stop_token)>;

  Reactor* Forward(Context* context, std::string_view method, Call call) {
    return UnaryCall::Start(
        threads_, [this, id = BuildIdOf(*context), method, call = std::move(call)](
                      std::stop_token stop) -> Status {
          auto build = Find(id, stop);
          if (!build.ok()) return Annotate(build.status(), StrCat("forwarding ", method));
          return ForClients(call(*(*build)->client_frontend(), stop));
        });
  }
  StatusOr<std::shared_ptr<control::Build>> Find(const std::string& id, std::stop_token stop) {
    if (id.empty()) return UnknownError("no buildid found in context");
    return parts_.controller->ClientDriven(id, stop);
  }
  static Reactor* Refuse(Context* context, std::string_view method) {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(Unimplemented(method));
    return reactor;
  }

  const ServerParts& parts_;
  CallThreads& threads_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeBridgeService(const ServerParts& parts, CallThreads& threads) {
  return std::make_unique<BridgeService>(parts, threads);
}

}  // namespace kiln::api
