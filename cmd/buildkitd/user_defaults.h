// Where an ordinary user's daemon keeps its things: the reference's rules over XDG's folders.
#pragma once

#include <string>

#include "cmd/buildkitd/config.h"

namespace kiln::buildkitd {

// Whether the defaults are a user's: in a user namespace, with $USER another than root.
bool UsesUserDefaults();
// "/etc/buildkit/buildkitd.toml", or the user's own file.
std::string DefaultConfigPath();
// What a file and flags are read over.
Config DefaultConfig();
// $XDG_RUNTIME_DIR/buildkit, with the sticky bit that keeps it through clean-ups of idle
// files. Without the variable there is nothing to do.
void MakeUserRuntimeDir();

}  // namespace kiln::buildkitd
