// Connections through a program's standard streams (docker exec, kubectl, ssh).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"
#include "base/url.h"

namespace kiln::api {

// The command that carries a connection for `url`; none for other schemes.
StatusOr<std::optional<std::vector<std::string>>> DialCommand(const Url& url);
// Starts it; it ends when the returned socket is closed.
StatusOr<UniqueFd> StartDialCommand(const std::vector<std::string>& argv);

}  // namespace kiln::api
