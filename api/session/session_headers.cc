// The checks of the reference's gRPC library; see session_headers.h.
#include "api/session/session_headers.h"

#include <grpcpp/client_context.h>

#include <algorithm>

namespace kiln::api {

Status CheckHeader(std::string_view key, std::string_view value) {
  bool named = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  });
  if (!named) {
    return InternalError(StrCat("header key ", Quote(key),
                                " contains illegal characters not in [0-9a-z-_.]"));
  }
  if (key.ends_with("-bin")) return OkStatus();  // sent in base64
  bool printable = std::all_of(value.begin(), value.end(),
                               [](char c) { return c >= 0x20 && c <= 0x7e; });
  if (printable) return OkStatus();
  return InternalError(StrCat("header key ", Quote(key),
                              " contains value with non-printable ASCII characters"));
}

Status AddHeader(grpc::ClientContext& context, const std::string& key, std::string_view value) {
  RETURN_IF_ERROR(CheckHeader(key, value));
  context.AddMetadata(key, std::string(value));
  return OkStatus();
}

}  // namespace kiln::api
