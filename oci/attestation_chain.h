// AttestationChain: the documents that say where an image comes from.
#pragma once

#include <map>
#include <string>

#include "base/digest.h"
#include "oci/descriptor.h"

namespace kiln::oci {

struct AttestationChain {
  Digest root;                  // the index
  Digest image_manifest;        // of the platform; its bytes are not among the blobs
  Digest attestation_manifest;  // empty if there is none
  Digest signature_manifest;    // of the attestation; empty if nobody has signed it
  struct Blob {
    Descriptor descriptor;
    std::string bytes;
  };
  std::map<std::string, Blob> blobs;  // by digest
};

}  // namespace kiln::oci
