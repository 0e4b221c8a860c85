// What a container runtime has to say when it cannot do its work. For runtimes other than
// runc, which tells it on the step's own stderr.
#pragma once

#include <string>

namespace kiln::worker::exec {

// Whether the program is runc by its name.
bool IsRunc(const std::string& binary);
// The last error in a log that a runtime wrote as JSON; "" if there is none.
std::string LastRuntimeError(const std::string& log_file);
// Asks the runtime for a container that has nothing to run. Its error if it already fails at
// making one, as crun does on some cgroup trees; "" if all is well. `dir` is for a bundle. Blocking.
struct RuntimeQuestion {
  std::string binary;
  std::string dir;
  bool rootless = false;
  const char* spec_version = "";
};
std::string WhyRuntimeFails(const RuntimeQuestion& question);

}  // namespace kiln::worker::exec
