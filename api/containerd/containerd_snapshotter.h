// Snapshots in one of containerd's snapshotters.
#pragma once

#include <memory>
#include <string>

#include "api/containerd/containerd_lease.h"
#include "cache/snapshot/snapshotter.h"

namespace kiln::api {

// Those of the snapshotter `name` that `lease` holds; what it holds of other snapshotters is
// given up, as nobody asks for it. INVALID_ARGUMENT from its calls if containerd has no such.
std::unique_ptr<cache::Snapshotter> OpenContainerdSnapshotter(
    std::shared_ptr<ContainerdLease> lease, const std::string& name);

}  // namespace kiln::api
