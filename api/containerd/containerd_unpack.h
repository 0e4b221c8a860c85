// Trees of images in one of containerd's snapshotters.
#pragma once

#include <string>

#include "api/containerd/containerd_client.h"
#include "base/status.h"
#include "cache/content/content_store.h"
#include "oci/descriptor.h"

namespace kiln::api {

struct UnpackTarget {
  std::string snapshotter;
  std::string lease;  // keeps the snapshots until something else does
};
struct UnpackedImage {
  oci::Descriptor config;
  std::string chain;  // name of the topmost snapshot; "" if there was nothing to unpack
};

// Makes the snapshots of the image below `root` (for this machine's platform, if it is an
// index) that are not there yet. Its layers must be in containerd's content store.
// DATA_LOSS if a layer is not what the config says.
StatusOr<UnpackedImage> UnpackImage(ContainerdClient& client, cache::BlobSource& source,
                                    const oci::Descriptor& root, const UnpackTarget& target);

}  // namespace kiln::api
