// GcPolicy: what garbage collection may remove, in tiers, and the default tiers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "cache/ref_store.h"

namespace kiln::cache {

// One tier is what Prune is run with.
using GcPolicy = PruneOptions;

// Total and free bytes of the file system that holds a folder.
struct DiskSpace {
  int64_t total = 0;
  int64_t free = 0;
  int64_t available = 0;
};
StatusOr<DiskSpace> DiskSpaceOf(const std::string& path);

// An amount of storage as the configuration gives it: bytes, or a percentage of
// the disk (rounded up to the next 1 GB, 2 GB if the disk's size is unknown).
struct StorageAmount {
  int64_t bytes = 0;
  int64_t percentage = 0;
  bool set() const { return bytes != 0 || percentage != 0; }
  int64_t AsBytes(const DiskSpace& disk) const;
  // "10%", "512MB", "2g", plain bytes. INVALID_ARGUMENT "invalid disk space …".
  static StatusOr<StorageAmount> Parse(std::string_view text);
};

struct GcLimits {
  StorageAmount reserved = {};
  StorageAmount max_used = {};
  StorageAmount min_free = {};
};
// The limits in force if none is configured.
GcLimits DefaultGcLimits(const DiskSpace& disk);
// Four tiers: cheap data after two days, anything unused for 60 days, the build
// cache over its limit, and last internal data as well. Unset limits: the defaults.
std::vector<GcPolicy> DefaultGcPolicy(GcLimits limits, const DiskSpace& disk);

// How many bytes of `total_size` a prune with these options leaves; 0 is no limit.
int64_t KeepBytes(int64_t total_size, const DiskSpace& disk, const PruneOptions& options);

}  // namespace kiln::cache
