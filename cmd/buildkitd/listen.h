// Listening sockets by address; what is served on them is the caller's business.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/status.h"
#include "base/unique_fd.h"

namespace kiln::buildkitd {

// A unix socket at `path`, whose folder is made and whose old file is replaced. Errors in
// Go's words ("listen unix /x: bind: …").
StatusOr<UniqueFd> ListenUnix(const std::string& path, uid_t uid, gid_t gid, mode_t mode = 0660);

// "host:port". "listen tcp 127.0.0.1:1: bind: address already in use".
StatusOr<UniqueFd> ListenTcp(const std::string& address);

}  // namespace kiln::buildkitd
