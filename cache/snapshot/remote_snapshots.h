// A SnapshotStore over a Snapshotter: snapshots are somebody else's, their folders ours to use.
//
// The snapshot `id` is active under the key "<id>-active" and committed under the name "<id>".
// It lies on another one where the stack below it is that one's own chain; other stacks
// (of merges) are known to the RefStore alone, and such a snapshot lies on nothing.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "cache/snapshot/snapshot_store.h"
#include "cache/snapshot/snapshotter.h"

namespace kiln::cache {

// `snapshotter` outlives the store. Layered if the snapshotter's mounts are overlays; whole
// trees if they are binds or, below `temp_dir`, whatever else can be mounted. UNAVAILABLE if
// its keeper does not answer; FAILED_PRECONDITION if its folders cannot be seen from here.
StatusOr<std::unique_ptr<SnapshotStore>> OpenRemoteSnapshots(Snapshotter& snapshotter,
                                                             const std::string& temp_dir);

}  // namespace kiln::cache
