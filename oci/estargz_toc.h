// The table of contents of an eStargz blob, entry by entry.
//
// Reads what containerd/stargz-snapshotter docs/estargz.md calls TOC, version 1, and
// says nothing of what the entries mean together: that is oci/estargz_tree.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace kiln::oci {

// One entry as it is written; numbers may be anything. Sizes and offsets in bytes.
struct EstargzEntry {
  std::string name, type, link_name, modtime;
  int64_t size = 0, mode = 0, uid = 0, gid = 0, dev_major = 0, dev_minor = 0;
  int64_t offset = 0;        // of the gzip member in the blob
  int64_t inner_offset = 0;  // of the bytes in what the member holds
  int64_t chunk_offset = 0, chunk_size = 0;
  std::string chunk_digest;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

// Calls `sink` for each entry in order, and ends with its first failure. INVALID_ARGUMENT for
// what is no table of version 1. Needs no more memory than one entry takes.
Status ParseEstargzToc(std::string_view json,
                       const std::function<Status(const EstargzEntry& entry)>& sink);

}  // namespace kiln::oci
