// Each method is one call of moby.buildkit.v1.frontend.LLBBridge.
#include "examples/custom-frontend/daemon.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include "api/proto/gateway.grpc.pb.h"
#include "api/tunnel/error_stack.h"
#include "api/tunnel/grpc_status.h"
#include "base/strings.h"
#include "examples/custom-frontend/recipe.h"
#include "examples/custom-frontend/stdio_channel.h"
#include "llb/proto/ops.pb.h"

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

StatusOr<Made> Daemon::Delegate(const std::string& filename, const kiln::llb::State& so_far,
                                const std::string& image_config) {
  gateway::SolveRequest request;
  request.set_frontend("gateway.v0");
  request.mutable_frontendopt()->insert(options_.begin(), options_.end());
  auto& options = *request.mutable_frontendopt();
  options["filename"] = filename;
  options["context:so-far"] = "input:so-far";
  options["input-metadata:so-far"] = image_config;
  ASSIGN_OR_RETURN(kiln::llb::DefinitionPtr definition, so_far.Marshal());
  (*request.mutable_frontendinputs())["so-far"] = *definition;
  request.set_allowresultreturn(true);
  request.set_allowresultarrayref(true);
  gateway::SolveResponse response;
  RETURN_IF_ERROR(Call(*stdio_, &gateway::LLBBridge::Stub::Solve, request, &response));
  Made made;
  ASSIGN_OR_RETURN(made.state, kiln::llb::FromDefinition(response.result().ref().def()));
  auto config = response.result().metadata().find("containerimage.config");
  if (config != response.result().metadata().end()) made.config = config->second;
  return made;
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

Status Daemon::Warn(const kiln::llb::State& reading, const SourceText& source, int line,
                    const std::string& text) {
  ASSIGN_OR_RETURN(kiln::llb::DefinitionPtr definition, reading.Marshal());
  pb::Op last;  // its input is the step that is warned about
  if (definition->def_size() == 0 || !last.ParseFromString(*definition->def().rbegin()) ||
      last.inputs_size() == 0) {
    return kiln::InternalError("a source without a step");
  }
  gateway::WarnRequest request;
  request.set_digest(last.inputs(0).digest());
  request.set_level(1);
  request.set_short_(text);
  request.add_detail(StrCat("It is in line ", line, " of ", source.filename, "."));
  request.mutable_info()->set_filename(source.filename);
  request.mutable_info()->set_data(source.text);
  pb::Range* range = request.add_ranges();
  range->mutable_start()->set_line(line);
  range->mutable_end()->set_line(line);
  gateway::WarnResponse response;
  return Call(*stdio_, &gateway::LLBBridge::Stub::Warn, request, &response);
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
  kiln::api::ToRpcStatus(kiln::api::WithStack(why), request.mutable_error());
  gateway::ReturnResponse response;
  return Call(*stdio_, &gateway::LLBBridge::Stub::Return, request, &response);
}

}  // namespace recipe
