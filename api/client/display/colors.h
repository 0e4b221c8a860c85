// Colours of the live view: NO_COLOR and BUILDKIT_COLORS.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kiln::api {

// Escape sequences; empty ones colour nothing.
struct DisplayColors {
  std::string run;
  std::string cancelled;
  std::string warning;
  std::string error;
};

// `colors` as in BUILDKIT_COLORS: "run=green:error=255,0,0". What does not parse is left out
// and explained in `complaints`.
DisplayColors ParseColors(std::string_view colors, std::vector<std::string>* complaints);
// From the environment.
DisplayColors ColorsOfEnvironment();

}  // namespace kiln::api
