// One grpc::Server; sockets are accepted here, so that the daemon decides on their paths,
// owners and modes, and can serve those that systemd made.
#include "api/server/server.h"

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/service_type.h>

#include <mutex>
#include <optional>

#include "api/server/acceptors.h"
#include "api/server/services.h"
#include "api/tunnel/session_headers.h"
#include "api/tunnel/unknown_methods.h"
#include "base/log.h"

namespace kiln::api {
namespace {

// Foreign clients may ping as they like; measured in the trial of the tunnel.
constexpr int kLeastPingInterval = 1'000;  // ms
constexpr std::chrono::seconds kGrace{5};

// The library's own messages (a client without a certificate …) are for debugging.
void LogOfLibrary(gpr_log_func_args* args) { log::Debug(StrCat("grpc: ", args->message)); }

std::shared_ptr<grpc::ServerCredentials> CredentialsOf(const TlsIdentity& identity) {
  grpc::SslServerCredentialsOptions options(
      identity.client_ca.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                 : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_key_cert_pairs.push_back({identity.key, identity.certificate});
  options.pem_root_certs = identity.client_ca;
  return grpc::SslServerCredentials(options);
}

}  // namespace

struct Server::State {
  CallThreads threads;
  UnknownMethods unknown;
  std::vector<std::unique_ptr<grpc::Service>> services;
  std::optional<TlsIdentity> identity;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> tls;  // null without identity
  std::unique_ptr<grpc::Server> server;
  Acceptors acceptors;
};

Server::Server(const ServerParts& parts) : state_(std::make_unique<State>()) {
  gpr_set_log_function(LogOfLibrary);
  CallThreads& threads = state_->threads;
  state_->unknown.Know({"moby.buildkit.v1.Control",
                                    "moby.buildkit.v1.frontend.LLBBridge",
                                    "containerd.services.content.v1.Content",
                                    "grpc.health.v1.Health",
                                    "kiln.v1.Explain",
                                    "opentelemetry.proto.collector.trace.v1.TraceService"});
  state_->services.push_back(MakeControlService(parts, threads));
  state_->services.push_back(MakeBridgeService(parts, threads));
  state_->services.push_back(MakeContentService(parts, threads));
  state_->services.push_back(MakeExplainService(parts, threads));
  state_->services.push_back(MakeHealthService());
  state_->services.push_back(MakeTraceService());
}

Server::~Server() { Stop(); }

void Server::UseTls(const TlsIdentity& identity) { state_->identity = identity; }

Status Server::Start() {
  // Tools like grpcurl ask what is served.
  static std::once_flag reflection;
  std::call_once(reflection, grpc::reflection::InitProtoReflectionServerBuilderPlugin);
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kLeastPingInterval);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMessageBytes);
  builder.RegisterCallbackGenericService(&state_->unknown);
  for (auto& service : state_->services) builder.RegisterService(service.get());
  if (state_->identity) {
    state_->tls = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        CredentialsOf(*state_->identity));
  }
  state_->server = builder.BuildAndStart();
  if (state_->server == nullptr) return UnknownError("could not start the gRPC server");
  return OkStatus();
}

Status Server::Listen(UniqueFd socket) {
  return state_->acceptors.Add(std::move(socket), Acceptors::ToServer(*state_->server));
}

Status Server::ListenTls(UniqueFd socket) {
  if (state_->tls == nullptr) return FailedPreconditionError("there is no certificate");
  const int listener = socket.get();
  return state_->acceptors.Add(std::move(socket), [tls = state_->tls.get(), listener](int fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.listener_fd = listener;
    connection.fd = fd;
    tls->HandleNewConnection(&connection);
  });
}

void Server::Stop() {
  state_->acceptors.Stop();
  if (state_->server != nullptr) {
    state_->server->Shutdown(std::chrono::system_clock::now() + kGrace);
    state_->server->Wait();
    state_->server.reset();
  }
}

}  // namespace kiln::api
