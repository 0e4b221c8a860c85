// Help texts, printed from the tree of commands.
#pragma once

#include <string>
#include <vector>

#include "cmd/buildctl/command.h"

namespace kiln::buildctl {

// `path`: the root and the commands under it that were named.
std::string HelpText(const std::vector<const Command*>& path);

}  // namespace kiln::buildctl
