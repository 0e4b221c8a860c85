// Sizes of the garbage collector: defaults by disk, the keepstorage flag, policies in bytes.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "cmd/buildkitd/config.h"

namespace kiln::buildkitd {

// One policy in plain numbers.
struct GcRule {
  bool all = false;
  std::vector<std::string> filters;
  int64_t keep_duration = 0;   // nanoseconds
  int64_t reserved_bytes = 0;
  int64_t max_used_bytes = 0;
  int64_t min_free_bytes = 0;
};

// The rules in force for a worker with its state under `root`; none if GC is off.
std::vector<GcRule> GcRules(const GcConfig& config, const std::string& root);
// "Reserved[,Free[,Maximum]]" in MB, as --help shows the default.
std::string FormatGcConfig(const GcConfig& config, const std::string& root);
// The value of --oci-worker-gc-keepstorage.
Status ParseKeepStorage(std::string_view text, GcConfig* config);

}  // namespace kiln::buildkitd
