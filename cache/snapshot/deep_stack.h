// Stacks that are higher than the kernel mounts at once.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "cache/snapshot/snapshot_store.h"

namespace kiln::cache {

// `stack` (lowest first, as for View) made low enough for one overlay with an upper
// folder: its lower end becomes a mount under `temp_dir`, which lives as long as `lease`.
// Costs nothing for stacks of usual height. A kernel that mounts no overlay on overlays (the
// store itself being on one) gives its error.
Status LowerStack(const SnapshotStore& store, const std::string& temp_dir,
                  std::vector<std::string>* stack, std::shared_ptr<void>* lease);

}  // namespace kiln::cache
