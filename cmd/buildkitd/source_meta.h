// Metadata of sources for frontends, from the sources that can tell it.
#pragma once

#include "control/services.h"
#include "worker/source/image/image_source.h"

namespace kiln::buildkitd {

// Images and OCI layouts; UNIMPLEMENTED for other schemes. Blocks.
StatusOr<frontend::SourceMeta> ResolveMeta(worker::ImageResolver& images,
                                           const control::MetaQuery& query);

}  // namespace kiln::buildkitd
