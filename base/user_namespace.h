// What a process in a user namespace (rootless) has to know of it and to respect.
#pragma once

#include <string>
#include <vector>

namespace kiln {

// Whether this process is in a user namespace other than the machine's first. Read once.
bool InUserNamespace();

// Options ("nosuid", "nodev", …) of the mount that `path` is in, which a bind mount of it
// has to repeat: the kernel lets no user namespace take them away. Empty if there are none,
// and for what is not there.
std::vector<std::string> LockedMountOptions(const std::string& path);

}  // namespace kiln
