// The unary services: health, secrets, credentials. Streams have files of their own.
#include "api/session/live_session.h"

#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>

#include "api/proto/health.grpc.pb.h"
#include "api/proto/session/auth.grpc.pb.h"
#include "api/proto/session/secrets.grpc.pb.h"
#include "api/proto/session/ssh.grpc.pb.h"
#include "api/tunnel/grpc_status.h"
#include "api/tunnel/session_headers.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

// As long as a user may need to unlock a key chain.
constexpr std::chrono::seconds kAuthTimeout{60};

}  // namespace

LiveSession::LiveSession(SessionFacts facts, int fd) : facts_(std::move(facts)) {
  for (const std::string& method : facts_.methods) methods_.insert(ToLower(method));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMaxMessageBytes);
  channel_ = grpc::CreateCustomInsecureChannelFromFd("localhost", fd, arguments);
}

LiveSession::~LiveSession() = default;

bool LiveSession::Supports(std::string_view method) const {
  return methods_.contains(ToLower(method));
}

Status LiveSession::CheckHealth(int timeout_ms) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
  grpc::health::v1::HealthCheckRequest request;
  grpc::health::v1::HealthCheckResponse response;
  return FromGrpc(grpc::health::v1::Health::NewStub(channel_)->Check(&context, request, &response));
}

StatusOr<std::string> LiveSession::GetSecret(std::string_view id) {
  grpc::ClientContext context;
  moby::buildkit::secrets::v1::GetSecretRequest request;
  request.set_id(std::string(id));
  moby::buildkit::secrets::v1::GetSecretResponse response;
  Status status = FromGrpc(
      moby::buildkit::secrets::v1::Secrets::NewStub(channel_)->GetSecret(&context, request, &response));
  if (IsNotFound(status) || status.code() == StatusCode::kUnimplemented) {
    return NotFoundError(StrCat("secret ", id, ": not found"));
  }
  RETURN_IF_ERROR(status);
  return std::move(*response.mutable_data());
}

StatusOr<worker::RegistryCredentials> LiveSession::Credentials(std::string_view host) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kAuthTimeout);
  moby::filesync::v1::CredentialsRequest request;
  request.set_host(std::string(host));
  moby::filesync::v1::CredentialsResponse response;
  Status status = FromGrpc(
      moby::filesync::v1::Auth::NewStub(channel_)->Credentials(&context, request, &response));
  // A client without the service has no credentials; that is no failure.
  if (status.code() == StatusCode::kUnimplemented) return worker::RegistryCredentials();
  RETURN_IF_ERROR(status);
  return worker::RegistryCredentials{response.username(), response.secret()};
}

StatusOr<worker::TokenResponse> LiveSession::FetchToken(const worker::TokenRequest& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kAuthTimeout);
  moby::filesync::v1::FetchTokenRequest wire;
  wire.set_clientid(request.client_id);
  wire.set_host(request.host);
  wire.set_realm(request.realm);
  wire.set_service(request.service);
  for (const std::string& scope : request.scopes) wire.add_scopes(scope);
  moby::filesync::v1::FetchTokenResponse response;
  RETURN_IF_ERROR(FromGrpc(
      moby::filesync::v1::Auth::NewStub(channel_)->FetchToken(&context, wire, &response)));
  return worker::TokenResponse{response.token(), response.expiresin(), response.issuedat()};
}

Status LiveSession::CheckSshAgent(std::string_view id) {
  grpc::ClientContext context;
  moby::sshforward::v1::CheckAgentRequest request;
  request.set_id(std::string(id));
  moby::sshforward::v1::CheckAgentResponse response;
  return FromGrpc(
      moby::sshforward::v1::SSH::NewStub(channel_)->CheckAgent(&context, request, &response));
}

}  // namespace kiln::api
