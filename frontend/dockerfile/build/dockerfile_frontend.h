// The frontend "dockerfile.v0": from a build's attributes to results.
#pragma once

#include <memory>

#include "frontend/bridge.h"

namespace kiln::dockerfile {

enum class Channel { kStable, kLabs };

// Stateless: one object serves any number of builds at once.
std::unique_ptr<frontend::Frontend> NewFrontend(Channel channel = Channel::kStable);

}  // namespace kiln::dockerfile
