// Platforms whose programs the kernel runs here: its own, and those for which
// binfmt_misc has an interpreter.
#pragma once

#include <vector>

#include "base/platform.h"

namespace kiln::worker::exec {

// Found out once, by starting a tiny program of each architecture in an empty root: only an
// interpreter that the kernel holds open (flag F) works there, as in a step. This machine's
// own platform comes first, then amd64's variants, then others in the reference's order.
const std::vector<Platform>& RunnablePlatforms();

}  // namespace kiln::worker::exec
