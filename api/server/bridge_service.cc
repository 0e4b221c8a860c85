// moby.buildkit.v1.frontend.LLBBridge for clients that drive their build, and for the
// processes of frontend images.
//
// For clients the header buildkit-controlapi-buildid says which build a call belongs to.
#include <grpcpp/grpcpp.h>

#include "api/proto/gateway.grpc.pb.h"
#include "api/server/bridge_calls.h"
#include "api/server/reactor.h"
#include "api/server/services.h"
#include "api/tunnel/session_headers.h"
#include "base/strings.h"
#include "control/build.h"

namespace kiln::api {
namespace {

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

std::string BuildIdOf(const Context& context) {
  auto entry = context.client_metadata().find(grpc::string_ref(kBuildId.data(), kBuildId.size()));
  if (entry == context.client_metadata().end()) return "";
  return {entry->second.data(), entry->second.size()};
}

using FrontendPtr = std::shared_ptr<ClientFrontend>;
// By build id; the pointer keeps the frontend's build.
using FindFrontend =
    std::function<StatusOr<FrontendPtr>(const std::string& id, std::stop_token stop)>;

bool IsTooLarge(const Status& status) {
  return status.code() == StatusCode::kResourceExhausted && status.message().starts_with("grpc: ");
}

using ExecCall = BidiCall<gateway::ExecMessage, gateway::ExecMessage>;

class GrpcExecStream : public ExecStream {
 public:
  explicit GrpcExecStream(ExecCall& call) : call_(call) {}
  bool Read(gateway::ExecMessage* message) override { return call_.Read(message); }
  bool Write(gateway::ExecMessage message) override { return call_.Write(std::move(message)); }

 private:
  ExecCall& call_;
};

class BridgeService : public gateway::LLBBridge::CallbackService {
 public:
  BridgeService(const ServerParts& parts, CallThreads& threads, FindFrontend find)
      : parts_(parts), threads_(threads), find_(std::move(find)) {}

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
    return ForwardLarge(context, "ReadFile", response,
                        [=](ClientFrontend& f, std::stop_token stop, ReplyShare* share) {
                          return api::ReadFile(f, *request, stop, response, share);
                        });
  }
  Reactor* ReadDir(Context* context, const gateway::ReadDirRequest* request,
                   gateway::ReadDirResponse* response) override {
    return ForwardLarge(context, "ReadDir", response,
                        [=](ClientFrontend& f, std::stop_token stop, ReplyShare* share) {
                          return api::ReadDir(f, *request, stop, response, share);
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

  Reactor* NewContainer(Context* context, const gateway::NewContainerRequest* request,
                        gateway::NewContainerResponse*) override {
    return Forward(context, "NewContainer", [=](ClientFrontend& f, std::stop_token) {
      return api::NewContainer(f, *request);
    });
  }
  Reactor* ReleaseContainer(Context* context, const gateway::ReleaseContainerRequest* request,
                            gateway::ReleaseContainerResponse*) override {
    return Forward(context, "ReleaseContainer", [=](ClientFrontend& f, std::stop_token) {
      return api::ReleaseContainer(f, *request);
    });
  }
  Reactor* ReadFileContainer(Context* context, const gateway::ReadFileRequest* request,
                             gateway::ReadFileResponse* response) override {
    return ForwardLarge(context, "ReadFileContainer", response,
                        [=](ClientFrontend& f, std::stop_token stop, ReplyShare* share) {
                          return api::ReadFileContainer(f, *request, stop, response, share);
                        });
  }
  Reactor* ReadDirContainer(Context* context, const gateway::ReadDirRequest* request,
                            gateway::ReadDirResponse* response) override {
    return ForwardLarge(context, "ReadDirContainer", response,
                        [=](ClientFrontend& f, std::stop_token stop, ReplyShare* share) {
                          return api::ReadDirContainer(f, *request, stop, response, share);
                        });
  }
  Reactor* StatFileContainer(Context* context, const gateway::StatFileRequest* request,
                             gateway::StatFileResponse* response) override {
    return Forward(context, "StatFileContainer", [=](ClientFrontend& f, std::stop_token) {
      return api::StatFileContainer(f, *request, response);
    });
  }
  grpc::ServerBidiReactor<gateway::ExecMessage, gateway::ExecMessage>* ExecProcess(
      Context* context) override {
    return ExecCall::Start(
        threads_, [this, id = BuildIdOf(*context)](ExecCall& call, std::stop_token stop) -> Status {
          auto frontend = find_(id, stop);
          if (!frontend.ok()) return Annotate(frontend.status(), "forwarding ExecProcess");
          GrpcExecStream stream(call);
          return api::ExecProcess(**frontend, stream, stop);
        });
  }

 private:
  using Call = std::function<Status(ClientFrontend&, std::stop_token)>;

  Reactor* Forward(Context* context, std::string_view method, Call call,
                   std::source_location where = std::source_location::current(),
                   std::shared_ptr<void> until_sent = nullptr) {
    return UnaryCall::Start(
        threads_,
        [this, id = BuildIdOf(*context), method, call = std::move(call)](
            std::stop_token stop) -> Status {
          auto frontend = find_(id, stop);
          if (!frontend.ok()) return Annotate(frontend.status(), StrCat("forwarding ", method));
          Status status = call(**frontend, stop);
          // The failures of these calls whose codes clients may look at.
          bool told = status.code() == StatusCode::kAlreadyExists || IsTooLarge(status);
          return told ? status : ForClients(status);
        },
        where, std::move(until_sent));
  }

  // For answers that may be as large as a message can be.
  template <typename Response, typename LargeCall>
  Reactor* ForwardLarge(Context* context, std::string_view method, Response* response,
                        LargeCall call,
                        std::source_location where = std::source_location::current()) {
    auto share = std::make_shared<ReplyShare>();
    return Forward(
        context, method,
        [share, response, call = std::move(call)](ClientFrontend& f,
                                                  std::stop_token stop) -> Status {
          RETURN_IF_ERROR(call(f, stop, share.get()));
          const size_t size = response->ByteSizeLong();
          if (size <= kMaxMessageBytes) return OkStatus();
          response->Clear();
          return TooLarge(size);
        },
        where, share);
  }

  const ServerParts& parts_;
  CallThreads& threads_;
  FindFrontend find_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeBridgeService(const ServerParts& parts, CallThreads& threads) {
  FindFrontend by_build = [&parts](const std::string& id,
                                   std::stop_token stop) -> StatusOr<FrontendPtr> {
    if (id.empty()) return UnknownError("no buildid found in context");
    ASSIGN_OR_RETURN(std::shared_ptr<control::Build> build,
                     parts.controller->ClientDriven(id, stop));
    return FrontendPtr(build, build->client_frontend());
  };
  return std::make_unique<BridgeService>(parts, threads, std::move(by_build));
}

std::unique_ptr<grpc::Service> MakeBridgeServiceFor(FrontendPtr frontend, const ServerParts& parts,
                                                    CallThreads& threads) {
  return std::make_unique<BridgeService>(
      parts, threads, [frontend](const std::string&, std::stop_token) -> StatusOr<FrontendPtr> {
        return frontend;
      });
}

}  // namespace kiln::api
