// BlobShelf: a place apart for blobs that only the build history keeps.
#pragma once

#include <set>

#include "base/digest.h"
#include "base/status.h"

namespace kiln::cache {

// An addition to ContentStore, whose other methods find such blobs as before.
class BlobShelf {
 public:
  virtual ~BlobShelf() = default;
  // Before a sweep: what is kept by a named lease (RefStore::KeepBlobs) and by no record.
  virtual Status Shelve(std::set<Digest> only_kept) = 0;
};

}  // namespace kiln::cache
