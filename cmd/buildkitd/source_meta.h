// Metadata of sources for frontends, from the sources that can tell it.
#pragma once

#include "control/services.h"
#include "solver/scheduler.h"
#include "worker/source/image/image_source.h"
#include "worker/worker.h"

namespace kiln::buildkitd {

struct MetaSources {
  worker::ImageResolver& images;
  worker::Worker& worker;
  solver::Scheduler& scheduler;
};

// Images, OCI layouts, git and http(s); other schemes have nothing to tell. Blocks.
StatusOr<frontend::SourceMeta> ResolveMeta(const MetaSources& sources,
                                           const control::MetaQuery& query);

}  // namespace kiln::buildkitd
