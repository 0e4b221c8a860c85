// What a client decides during a build: outputs, and which sources are allowed.
#include <grpcpp/grpcpp.h>

#include "api/proto/session/exporter.grpc.pb.h"
#include "api/proto/session/policysession.grpc.pb.h"
#include "api/session/live_session.h"
#include "api/tunnel/grpc_status.h"

namespace kiln::api {
namespace {

namespace exporter = moby::exporter::v1;
namespace policy = moby::buildkit::v1::sourcepolicy::policysession;

// A client without the service has no say.
bool Absent(const Status& status) {
  return status.code() == StatusCode::kUnimplemented || status.code() == StatusCode::kUnavailable;
}

}  // namespace

StatusOr<std::vector<worker::ClientSession::WantedExporter>> LiveSession::FindExporters(
    const std::map<std::string, std::string>& metadata, const std::vector<std::string>& refs) {
  grpc::ClientContext context;
  exporter::FindExportersRequest request;
  request.mutable_metadata()->insert(metadata.begin(), metadata.end());
  for (const std::string& ref : refs) request.add_refs(ref);
  exporter::FindExportersResponse response;
  Status status = FromGrpc(
      exporter::Exporter::NewStub(channel_)->FindExporters(&context, request, &response));
  std::vector<WantedExporter> wanted;
  if (Absent(status)) return wanted;
  RETURN_IF_ERROR(status);
  for (const exporter::ExporterRequest& one : response.exporters()) {
    wanted.push_back({one.type(), {one.attrs().begin(), one.attrs().end()}});
  }
  return wanted;
}

Status LiveSession::FinalizeExport(const std::map<std::string, std::string>& response) {
  grpc::ClientContext context;
  exporter::FinalizeExportRequest request;
  request.mutable_exporter_response()->insert(response.begin(), response.end());
  exporter::FinalizeExportResponse ignored;
  Status status = FromGrpc(
      exporter::Exporter::NewStub(channel_)->FinalizeExport(&context, request, &ignored));
  return Absent(status) ? OkStatus() : status;
}

StatusOr<std::string> LiveSession::CheckPolicy(const std::string& request) {
  grpc::ClientContext context;
  policy::CheckPolicyRequest wire;
  if (!wire.ParseFromString(request)) return InternalError("a policy request does not parse");
  policy::CheckPolicyResponse response;
  RETURN_IF_ERROR(FromGrpc(
      policy::PolicyVerifier::NewStub(channel_)->CheckPolicy(&context, wire, &response)));
  return response.SerializeAsString();
}

}  // namespace kiln::api
