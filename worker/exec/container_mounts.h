// The mounts of one container, made from leases: selectors resolved, long overlay
// options folded into a mount of ours.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cache/mount.h"
#include "worker/exec/executor.h"
#include "worker/exec/runtime_spec.h"

namespace kiln::worker::exec {

// Owned by one Run. The destructor takes away what was mounted under `dir`.
class ContainerMounts {
 public:
  explicit ContainerMounts(std::string dir) : dir_(std::move(dir)) {}
  ~ContainerMounts();
  ContainerMounts(const ContainerMounts&) = delete;
  ContainerMounts& operator=(const ContainerMounts&) = delete;

  Status Add(const ContainerMount& mount);
  const std::vector<SpecMount>& spec() const { return spec_; }

 private:
  StatusOr<cache::Mount> Materialise(const cache::Mount& mount, bool readonly);
  StatusOr<cache::Mount> Select(const cache::Mount& mount, const std::string& selector);
  StatusOr<std::string> NewPlace();

  std::string dir_;
  int places_ = 0;
  std::vector<std::string> mounted_;
  std::vector<cache::MountLease> leases_;
  // Whole mounts of ours by what they were made of, for further selectors on the same.
  std::vector<std::pair<cache::Mount, std::string>> whole_;
  std::vector<SpecMount> spec_;
};

}  // namespace kiln::worker::exec
