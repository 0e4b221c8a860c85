// The daemon's certificate, key and client CA, read and checked.
#pragma once

#include <optional>

#include "api/server/server.h"
#include "cmd/buildkitd/config.h"

namespace kiln::buildkitd {

// Nothing if no certificate is configured. "could not load server key pair: …".
StatusOr<std::optional<api::TlsIdentity>> LoadTls(const Config& config);

}  // namespace kiln::buildkitd
