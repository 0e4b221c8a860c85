// Flags of buildkitd: names, defaults and texts of the reference; they win over the file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cmd/buildkitd/config.h"

namespace kiln::buildkitd {

// What the reference says to who is not root, of any namespace.
inline constexpr std::string_view kNotMappedRoot =
    "rootless mode requires to be executed as the mapped root in a user namespace; you may use "
    "RootlessKit for setting up the namespace";

struct CommandLine {
  Config config;                      // file and flags joined
  std::vector<std::string> warnings;  // for the log, once it is set up
  bool save_cache_debug = false;
  bool done = false;                  // --help or --version was printed
};

// Parses argv, loads the file that it names, and joins both. Prints help and
// version itself. INVALID_ARGUMENT in the reference's words.
StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv);

}  // namespace kiln::buildkitd
