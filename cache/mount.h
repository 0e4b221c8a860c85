// Mount: one mount(2) call as data, and leases on mounted trees.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace kiln::cache {

// As containerd's mount.Mount: type "bind" or "overlay", options as in fstab.
struct Mount {
  std::string type;
  std::string source;
  std::vector<std::string> options;
};

// Mounts that stay valid as long as the lease lives.
struct MountLease {
  std::vector<Mount> mounts;
  std::shared_ptr<void> lease;
};

// A tree visible under a path of the host. Unmounted in the destructor. A single
// bind mount without need of a mount gives its source path directly.
class LocalMount {
 public:
  static StatusOr<LocalMount> Open(MountLease mounts, const std::string& temp_dir);
  LocalMount(LocalMount&& other) noexcept;
  LocalMount& operator=(LocalMount&& other) noexcept;
  ~LocalMount();
  const std::string& path() const { return path_; }

 private:
  LocalMount() = default;
  MountLease lease_;
  std::string path_;
  bool mounted_ = false;
};

// Mounts all of `mounts` at `target`. Undone by UnmountAll(target).
Status MountAll(const std::vector<Mount>& mounts, const std::string& target);
// Unmounts everything at and under `target`, lazily if busy. Not mounted is OK.
Status UnmountAll(const std::string& target);

}  // namespace kiln::cache
