// The manifest that holds the attestations of one image of an index.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cache/content/content_store.h"
#include "oci/descriptor.h"
#include "worker/exporter/attestation.h"
#include "worker/exporter/image_layers.h"

namespace kiln::worker {

// What the SBOM of a result says of each file: which layer it came from, and that we
// were there. Left as it is if it is no SPDX document of the result itself.
Status SupplementSbom(cache::BlobSource& blobs, const std::vector<ImageLayer>& layers,
                      AttestedPredicate* attested);

struct AttestationManifestOptions {
  oci::Descriptor target;       // the image that they are about
  std::string names;            // its names, comma-separated
  bool oci_types = true;
  bool artifact = true;
};
// Writes statements, config and manifest. The descriptor is as it stands in the index.
StatusOr<oci::Descriptor> WriteAttestationManifest(cache::ContentStore& store,
                                                   const std::vector<AttestedPredicate>& attested,
                                                   const AttestationManifestOptions& options);

}  // namespace kiln::worker
