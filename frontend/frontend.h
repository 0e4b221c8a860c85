// The frontends that are built in, by name.
#pragma once

#include <memory>
#include <string_view>

#include "frontend/bridge.h"

namespace kiln::frontend {

// "dockerfile.v0"; null for names that are not built in.
std::unique_ptr<Frontend> NewFrontend(std::string_view name);

}  // namespace kiln::frontend
