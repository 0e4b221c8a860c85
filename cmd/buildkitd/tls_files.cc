// Reads PEM files; gRPC parses them.
#include "cmd/buildkitd/tls_files.h"

#include "base/file.h"
#include "base/strings.h"

namespace kiln::buildkitd {
namespace {

StatusOr<std::string> ReadPem(const std::string& path, std::string_view what) {
  auto text = ReadFile(path);
  if (text.ok()) return text;
  // Go names the call and the path once.
  size_t colon = text.status().message().rfind(": ");
  std::string reason = text.status().message();
  if (colon != std::string::npos) reason = reason.substr(colon + 2);
  return Status(text.status().code(), StrCat(what, ": open ", path, ": ", reason));
}

}  // namespace

StatusOr<std::optional<api::TlsIdentity>> LoadTls(const Config& config) {
  if (config.tls_cert.empty() && config.tls_key.empty()) {
    return std::optional<api::TlsIdentity>();
  }
  if (config.tls_cert.empty() || config.tls_key.empty()) {
    return InvalidArgumentError("you must specify key and cert file if one is specified");
  }
  api::TlsIdentity identity;
  ASSIGN_OR_RETURN(identity.certificate,
                   ReadPem(config.tls_cert, "could not load server key pair"));
  ASSIGN_OR_RETURN(identity.key, ReadPem(config.tls_key, "could not load server key pair"));
  if (!config.tls_ca.empty()) {
    ASSIGN_OR_RETURN(identity.client_ca, ReadPem(config.tls_ca, "could not read ca certificate"));
    if (!Contains(identity.client_ca, "BEGIN CERTIFICATE")) {
      return InvalidArgumentError("failed to append ca cert");
    }
  }
  return std::optional<api::TlsIdentity>(std::move(identity));
}

}  // namespace kiln::buildkitd
