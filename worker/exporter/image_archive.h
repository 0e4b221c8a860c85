// An image as one tar: an OCI layout, with docker's manifest.json if asked for.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "cache/content/content_store.h"
#include "oci/descriptor.h"
#include "oci/stream.h"

namespace kiln::worker {

struct ImageArchive {
  oci::Descriptor root;
  std::vector<std::string> names;  // normalised
  bool docker = false;
};

// Entries in the reference's order and form. Verifies each blob on the way out.
Status WriteImageArchive(cache::BlobSource& blobs, const ImageArchive& archive,
                         const oci::WriteFn& out);

}  // namespace kiln::worker
