// From an image's index to what attests one of its images, and who has signed that.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/platform.h"
#include "base/status.h"
#include "oci/attestation_chain.h"
#include "worker/source/image/image_pull.h"

namespace kiln::worker {

// With the statements whose predicate is one of `predicates`. nullopt for an image that
// is no OCI index. Blocks; every document is compared with its digest.
StatusOr<std::optional<oci::AttestationChain>> FindAttestations(
    ImageOrigin& origin, const std::string& ref, const Platform& platform,
    const std::vector<std::string>& predicates);

}  // namespace kiln::worker
