// Secrets of this user from which the keys are derived that tie a registry token to the
// client that fetched it.
#pragma once

#include <string>

#include "base/status.h"

namespace kiln::api {

// The seed for a registry host, made on first use and kept in docker's configuration
// folder (.token_seed, which other clients share). A folder that cannot be written gives
// a seed for this call only.
StatusOr<std::string> TokenSeed(const std::string& host);

}  // namespace kiln::api
