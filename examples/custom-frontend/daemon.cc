// Each method is one call of moby.buildkit.v1.frontend.LLBBridge.
#include "examples/custom-frontend/daemon.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include "api/proto/gateway.grpc.pb.h"
#include "api/tunnel/grpc_status.h"
#include "base/strings.h"
#include "examples/custom-frontend/stdio_channel.h"

extern char** environ;

namespace recipe {

namespace gateway = moby::buildkit::v1::frontend;
using kiln::Status;
using kiln::StatusOr;
using kiln::StrCat;

namespace {

template <typename Request, typename Response>
using Method = grpc::Status (gateway::LLBBridge::Stub::*)(grpc::ClientContext*, const Request&,
                                                          Response*);

template <typename Request, typename Response>
Status Call(const StdioChannel& stdio, Method<Request, Response> method,
            const Request& request, Response* response) {
  gateway::LLBBridge::Stub bridge(stdio.channel());
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  return kiln::api::FromGrpc((bridge.*method)(&context, request, response));
}

}  // namespace

Daemon::Daemon() = default;
Daemon::~Daemon() = default;

StatusOr<std::unique_ptr<Daemon>> Daemon::Connect() {
  std::unique_ptr<Daemon> daemon(new Daemon);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view name, value, key, option;
    if (!kiln::StrCut(*entry, "=", &name, &value)) continue;
    if (name == "BUILDKIT_SESSION_ID") daemon->session_ = value;
    // BUILDKIT_FRONTEND_OPT_<n>=<key>=<value>
    if (name.starts_with("BUILDKIT_FRONTEND_OPT_") && kiln::StrCut(value, "=", &key, &option)) {
      daemon->options_[std::string(key)] = option;
    }
  }
  ASSIGN_OR_RETURN(daemon->stdio_, StdioChannel::Open());
  gateway::PongResponse pong;
  RETURN_IF_ERROR(Call(*daemon->stdio_, &gateway::LLBBridge::Stub::Ping, gateway::PingRequest(),
                       &pong));
  return daemon;
}

std::string Daemon::Option(const std::string& key) const {
  auto entry = options_.find(key);
  return entry == options_.end() ? "" : entry->second;
}

StatusOr<std::map<std::string, kiln::llb::State>> Daemon::Inputs() {
  gateway::InputsResponse response;
  RETURN_IF_ERROR(Call(*stdio_, &gateway::LLBBridge::Stub::Inputs, gateway::InputsRequest(),
                       &response));
  std::map<std::string, kiln::llb::State> inputs;
  for (const auto& [name, definition] : response.definitions()) {
    ASSIGN_OR_RETURN(inputs[name], kiln::llb::FromDefinition(definition));
  }
  return inputs;
}

StatusOr<std::string> Daemon::Solve(const kiln::llb::State& state) {
  ASSIGN_OR_RETURN(kiln::llb::DefinitionPtr definition, state.Marshal());
  gateway::SolveRequest request;
  if (definition->def_size() > 0) *request.mutable_definition() = *definition;
  request.set_allowresultreturn(true);
  request.set_allowresultarrayref(true);
  gateway::SolveResponse response;
  RETURN_IF_ERROR(Call(*stdio_, &gateway::LLBBridge::Stub::Solve, request, &response));
  return response.result().ref().id();
}

StatusOr<std::string> Daemon::ReadFile(const std::string& ref, const std::string& path) {
  gateway::ReadFileRequest request;
  request.set_ref(ref);
  request.set_filepath(path);
  gateway::ReadFileResponse response;
  RETURN_IF_ERROR(Call(*stdio_, &gateway::LLBBridge::Stub::ReadFile, request, &response));
  return std::move(*response.mutable_data());
}

StatusOr<ResolvedImage> Daemon::Resolve(const std::string& reference,
                                        const std::string& oci_store) {
  gateway::ResolveImageConfigRequest request;
  request.set_ref(reference);
  request.set_resolvemode("default");
  request.set_logname(StrCat("[recipe] look up ", reference));
  if (!oci_store.empty()) {
    request.set_resolvertype(1);
    request.set_sessionid(session_);
    request.set_storeid(oci_store);
  }
  gateway::ResolveImageConfigResponse response;
  RETURN_IF_ERROR(
      Call(*stdio_, &gateway::LLBBridge::Stub::ResolveImageConfig, request, &response));
  return ResolvedImage{response.digest(), response.config()};
}

Status Daemon::Return(const std::string& ref, const std::string& image_config) {
  gateway::ReturnRequest request;
  request.mutable_result()->mutable_ref()->set_id(ref);
  (*request.mutable_result()->mutable_metadata())["containerimage.config"] = image_config;
  gateway::ReturnResponse response;
  return Call(*stdio_, &gateway::LLBBridge::Stub::Return, request, &response);
}

Status Daemon::Fail(const Status& why) {
  gateway::ReturnRequest request;
  kiln::api::ToRpcStatus(why, request.mutable_error());
  gateway::ReturnResponse response;
  return Call(*stdio_, &gateway::LLBBridge::Stub::Return, request, &response);
}

}  // namespace recipe
