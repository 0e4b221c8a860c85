// The ContentStore in containerd: its content service, under the daemon's lease.
#pragma once

#include <memory>

#include "api/containerd/containerd_lease.h"
#include "base/status.h"
#include "cache/content/content_store.h"

namespace kiln::api {

// Blobs that others brought there count as ours from when we first ask for them. A sweep
// never deletes: it lets go, and containerd's collector takes what nobody else holds. Writes
// that an earlier process left unfinished are given up. What only the build history keeps goes
// to the namespace of `history`, as in the reference: whoever lists images and content finds
// none of it.
StatusOr<std::unique_ptr<cache::ContentStore>> OpenContainerdContentStore(
    std::shared_ptr<ContainerdLease> lease, std::shared_ptr<ContainerdLease> history);

}  // namespace kiln::api
