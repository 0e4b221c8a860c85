// BlobQuery: one blob of a registry or of a client's OCI layout.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/status.h"

namespace kiln::worker {

struct BlobQuery {
  std::string scheme;  // "docker-image" or "oci-layout"
  std::string ref;     // with its digest
  Digest digest;
  std::string store = {}, session = {};    // oci-layout
  std::vector<std::string> sessions = {};  // those of the builds, for credentials
};
// All bytes in order. Not verified. Thread-safe, blocking.
using ReadBlob =
    std::function<Status(const BlobQuery&, const std::function<Status(std::string_view)>& sink)>;

}  // namespace kiln::worker
