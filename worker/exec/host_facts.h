// What the spec of a step depends on beside the step: this machine and this process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::worker::exec {

struct HostFacts {
  std::string architecture;                // Go's name
  std::vector<std::string> capabilities;   // effective ones of this process, by number
  bool in_user_namespace = false;
  bool seccomp = false;
  bool cgroup_namespace = false;           // only where cgroup v2 stands alone
  bool apparmor = false;
  bool selinux = false;
};

HostFacts ReadHostFacts();
// Number of the first loop device that is free; 0 if nobody can say.
int64_t FreeLoopDevice();

}  // namespace kiln::worker::exec
