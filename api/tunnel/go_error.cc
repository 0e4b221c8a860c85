// See go_error.h.
#include "api/tunnel/go_error.h"

#include <grpcpp/support/status.h>

#include "api/proto/errdefs.pb.h"
#include "api/tunnel/grpc_status.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

Status WithMessage(const Status& status, std::string message) {
  Status out(status.code(), std::move(message));
  for (const StatusDetail& detail : status.details()) out.AddDetail(detail.type_url, detail.bytes);
  return out;
}

// The reference's client turns some details into errors that say it once more.
Status Typed(const Status& status) {
  errdefs::Subrequest request;
  const StatusDetail* detail =
      status.FindDetail("github.com/moby/buildkit/errdefs.Subrequest+json");
  if (detail != nullptr && request.ParseFromString(detail->bytes)) {
    return WithMessage(status, StrCat("unsupported request ", request.name(), ": ", status.message()));
  }
  errdefs::FrontendCap cap;
  detail = status.FindDetail("github.com/moby/buildkit/errdefs.FrontendCap+json");
  if (detail != nullptr && cap.ParseFromString(detail->bytes)) {
    return WithMessage(status,
                       StrCat("unsupported frontend capability ", cap.name(), ": ", status.message()));
  }
  errdefs::CompatibilityFeature feature;
  detail = status.FindDetail("github.com/moby/buildkit/errdefs.CompatibilityFeature+json");
  if (detail != nullptr && feature.ParseFromString(detail->bytes)) {
    return WithMessage(status, StrCat("unsupported compatibility-version ", feature.version(),
                                      " feature ", feature.feature(), ": ", status.message()));
  }
  return status;
}

std::string RpcText(const Status& status, const std::string& text) {
  return StrCat("rpc error: code = ", StatusCodeName(status.code()), " desc = ", text);
}

}  // namespace

Status UnaryError(const grpc::Status& grpc_status) {
  Status status = Typed(FromGrpc(grpc_status));
  if (status.ok() || status.code() == StatusCode::kUnknown) return status;
  return WithMessage(status, StrCat(StatusCodeName(status.code()), ": ", status.message()));
}

Status StreamError(const grpc::Status& grpc_status) {
  Status status = FromGrpc(grpc_status);
  if (status.ok()) return status;
  return WithMessage(status, RpcText(status, status.message()));
}

Status StreamOpenError(const grpc::Status& grpc_status) {
  Status status = FromGrpc(grpc_status);
  if (status.ok()) return status;
  return WithMessage(status, RpcText(status, RpcText(status, status.message())));
}

}  // namespace kiln::api
