// type=registry: a cache behind a reference, and images that carry their cache inline.
#pragma once

#include <memory>

#include "oci/registry.h"
#include "worker/remotecache/cache_backend.h"

namespace kiln::worker {

// Both must outlive it. Credentials are those of the builds' sessions.
std::unique_ptr<CacheBackend> NewRegistryCacheBackend(std::shared_ptr<oci::Registry> registry,
                                                      SessionTable& sessions);

}  // namespace kiln::worker
