// Why builds cannot run as an ordinary user on this machine: each thing that is missing,
// by the kernel's own name for it. Only looks; the daemon starts all the same.
#pragma once

#include <string>
#include <vector>

namespace kiln::buildkitd {

// A user who wants a namespace of his own, on the machine whose files are under `root`.
struct RootlessUser {
  std::string root = "/";
  std::string name;
  unsigned uid = 0;
  std::string path;  // folders of programs, as $PATH
};
// The user that this process runs as.
RootlessUser CurrentRootlessUser();

// What keeps RootlessKit from making the user's namespace.
std::vector<std::string> MissingForNamespace(const RootlessUser& user);

// What the namespace that we are in lacks. `root`: as above. `process_sandbox`: steps get a
// PID namespace and a procfs of their own; tried once, so call it before there are threads.
std::vector<std::string> MissingInNamespace(const std::string& root, bool process_sandbox);

}  // namespace kiln::buildkitd
