// StepCgroup: the cgroup of one step, as the kernel shows it under v1, v2 or both.
//
// The runtime makes the cgroup; this reads what it counts, says whether the kernel killed
// for want of memory, and removes it. Linux, cgroups(7) and Documentation/admin-guide.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "worker/exec/step_usage.h"

namespace kiln::worker::exec {

// Where the hierarchies are mounted.
struct CgroupMounts {
  std::string unified = {};    // of v2; "" if it is not there or has no controllers
  std::string beside = {};     // of v2 without controllers, beside v1
  std::map<std::string, std::string> legacy = {};  // v1: controller to mount point
  bool empty() const { return unified.empty() && legacy.empty(); }
};
// From the text of /proc/self/mountinfo. A v2 hierarchy beside v1 ones has no controllers.
CgroupMounts FindCgroupMounts(std::string_view mountinfo);

// What a kill for want of memory says of itself; sizes in bytes, 0: not known.
struct OomKill {
  uint64_t limit = 0;  // of the step or of what it is in; 0 also if there is none
  uint64_t peak = 0;
};
// "cannot allocate memory", with limit and peak where they are known.
std::string OomText(const OomKill& kill);

// Not thread-safe. Blocking. `path` is absolute within every hierarchy.
class StepCgroup {
 public:
  StepCgroup(const CgroupMounts& mounts, std::string path)
      : mounts_(mounts), path_(std::move(path)) {}

  // Controllers that the machine does not have are left out. NOT_FOUND before the runtime
  // has made the cgroup and after it is gone.
  StatusOr<UsageSample> Read() const;
  // Nothing if no process of it was killed for want of memory.
  std::optional<OomKill> Oom() const;
  // Removes it with everything below; false if processes are left in it.
  bool Remove() const;

 private:
  std::string File(std::string_view controller, std::string_view name) const;
  StatusOr<UsageSample> ReadUnified() const;
  StatusOr<UsageSample> ReadLegacy() const;
  uint64_t LimitAbove(const std::string& mount, std::string_view file) const;

  const CgroupMounts& mounts_;
  const std::string path_;
};

}  // namespace kiln::worker::exec
