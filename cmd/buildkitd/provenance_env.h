// Facts of this builder that its owner wants in every provenance document.
#pragma once

#include <string>

#include "base/status.h"

namespace kiln::buildkitd {

// All "*.json" of the folder, merged in order of their names, as one JSON object; "" if
// there is no folder. "" for `dir` means /etc/buildkit/provenance.d. Keys that are the
// daemon's own are refused.
StatusOr<std::string> LoadProvenanceEnv(const std::string& dir);

}  // namespace kiln::buildkitd
