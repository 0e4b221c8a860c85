// Shims that containerd has lost: of a client that dies while a task is made, the call is
// cancelled, and containerd sometimes forgets the shim and the process that it had made.
#pragma once

#include <string>

namespace kiln::api {

// Ends the shim of a container that containerd has no task of, all that it has started, and its
// mounts, as far as they are in our PID and mount namespaces. Thread-safe.
void EndLostShim(const std::string& name_space, const std::string& id);

}  // namespace kiln::api
