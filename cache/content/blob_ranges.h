// BlobRanges: parts of blobs that stay where they are, for as long as somebody reads them.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "cache/content/content_store.h"

namespace kiln::cache {

// Does not depend on the build that named it. Thread-safe and blocking, but for no longer than
// the network's time limits.
class BlobRanges {
 public:
  virtual ~BlobRanges() = default;
  // Exactly `length` bytes from `offset` on. UNIMPLEMENTED if only whole blobs are to be had.
  virtual StatusOr<std::string> ReadRange(const oci::Descriptor& blob, uint64_t offset,
                                          uint64_t length, std::stop_token stop) = 0;
};

// An addition to BlobSource: a registry has ranges.
class RangedBlobs {
 public:
  virtual ~RangedBlobs() = default;
  virtual std::shared_ptr<BlobRanges> Ranges() = 0;  // null: none
};

// The same of any source.
inline std::shared_ptr<BlobRanges> RangesOf(BlobSource& source) {
  auto* ranged = dynamic_cast<RangedBlobs*>(&source);
  return ranged == nullptr ? nullptr : ranged->Ranges();
}

}  // namespace kiln::cache
