// Cache imports of a build: named as users see them, opened inside a vertex.
#pragma once

#include <memory>
#include <string>

#include "control/progress_log.h"
#include "frontend/bridge.h"
#include "solver/cache_source.h"
#include "worker/remotecache/cache_backend.h"

namespace kiln::control {

// What identifies an import within a build and is shown of it: the reference of a
// registry's, else the type and a hash of the attributes ("local:1234").
std::string CacheImportName(const frontend::CacheImport& import);

// An import of one build. Thread-safe.
class CacheImport : public solver::CacheSource {
 public:
  // Adds the layers that it lists; none before Open.
  virtual void AddSeen(worker::SeenBlobs* seen) = 0;
};

// Nothing is asked before Open, which shows "importing cache manifest from
// NAME"; a failure is that vertex's error and leaves the source without keys.
// `backends` may be null (then every type is unknown) and outlives the source.
std::shared_ptr<CacheImport> NewCacheImport(frontend::CacheImport import,
                                            worker::CacheBackends* backends,
                                            std::shared_ptr<ProgressLog> progress);

}  // namespace kiln::control
