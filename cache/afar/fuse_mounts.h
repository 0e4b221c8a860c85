// Layers as file systems of the kernel, served from this process over /dev/fuse.
//
// One thread answers for all mounts what is in memory; reads go to a few others. Read-only,
// and as overlayfs wants it of a lower folder. Who reads in a mount must not be one of
// these threads.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "cache/afar/afar_layer.h"

namespace kiln::cache {

// A mounted layer. Dropping it unmounts, at once for whoever comes, and fails the reads of
// those who are still inside. Thread-safe in that it may be dropped anywhere.
class FuseMount {
 public:
  virtual ~FuseMount() = default;
};

// Thread-safe. Mounts may outlive it.
class FuseMounts {
 public:
  virtual ~FuseMounts() = default;
  // Blocks until the kernel shows the mount. `folder` exists.
  virtual StatusOr<std::unique_ptr<FuseMount>> Mount(std::shared_ptr<AfarLayer> layer,
                                                     const std::string& folder) = 0;
};

// Fails where there is no /dev/fuse to be used, or only its owner's namespace may mount.
StatusOr<std::unique_ptr<FuseMounts>> OpenFuseMounts();

}  // namespace kiln::cache
