// Images in containerd's store as a second origin beside registries.
#pragma once

#include <memory>

#include "api/containerd/containerd_images.h"
#include "worker/source/image/image_source.h"

namespace kiln::api {

// By the resolve mode of a query: "pull" asks only the registry, "local" asks containerd
// first, and any other asks containerd when the registry does not have the image.
worker::RegistryOriginFn WithContainerdImages(worker::RegistryOriginFn registries,
                                              std::shared_ptr<ContainerdImages> images);

}  // namespace kiln::api
