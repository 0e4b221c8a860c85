// Content store: immutable blobs, named by the digest of their bytes.
//
// A blob is written once, checked against its digest, and never changes.
// Layers, manifests and image configs live here. File trees that can be
// mounted live in cache/snapshot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/status.h"
#include "oci/descriptor.h"

namespace kiln::cache {

// An open, committed blob. Safe to read from several threads at once.
class BlobReader {
 public:
  virtual ~BlobReader() = default;
  virtual uint64_t size() const = 0;  // bytes
  // Fills `buffer` from `offset`. Returns the bytes read; 0 at the end.
  virtual StatusOr<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const = 0;
};

// A blob being written; invisible until Commit. Dropping the writer discards it.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  virtual Status Append(std::string_view data) = 0;
  // Publishes the blob. DATA_LOSS if the bytes do not match `expected` (an empty
  // digest or a size below 0 is not checked). Returns digest and size of what was
  // written. Two writers may commit the same digest; the second is a no-op.
  virtual StatusOr<oci::Descriptor> Commit(const oci::Descriptor& expected) = 0;
};

struct BlobStat {
  Digest digest;
  int64_t size = 0;
};

// Anything that can hand out blobs: the store, a registry, a client's store.
// Thread-safe and blocking.
class BlobSource {
 public:
  virtual ~BlobSource() = default;
  virtual StatusOr<std::unique_ptr<BlobReader>> Open(const oci::Descriptor& blob) = 0;  // NOT_FOUND
};

// Thread-safe. Blocking: call it from a job, never from the scheduler thread.
// Blobs that no record and no named lease (RefStore::KeepBlobs) holds go at the
// next sweep; a Hold bridges the time between a blob's commit and that.
class ContentStore : public BlobSource {
 public:
  virtual StatusOr<std::unique_ptr<BlobReader>> Open(const Digest& digest) = 0;  // NOT_FOUND
  StatusOr<std::unique_ptr<BlobReader>> Open(const oci::Descriptor& blob) override {
    return Open(blob.digest);
  }
  virtual StatusOr<std::unique_ptr<BlobWriter>> NewWriter() = 0;
  virtual StatusOr<BlobStat> Stat(const Digest& digest) = 0;  // NOT_FOUND
  virtual StatusOr<std::vector<BlobStat>> List() = 0;
  // While the result lives, no blob is swept that was committed, opened or found
  // by Stat after this call. Take one before a set of blobs is made or looked up.
  virtual std::shared_ptr<void> Hold() = 0;
  // Deletes every blob for which `is_live` is false and that no Hold protects.
  // Open readers stay valid. Returns the bytes freed.
  virtual StatusOr<uint64_t> Sweep(const std::function<bool(const Digest&)>& is_live) = 0;
};

// Whole blob in memory (manifests, configs); RESOURCE_EXHAUSTED above `limit` bytes.
StatusOr<std::string> ReadBlob(BlobSource& source, const oci::Descriptor& blob,
                               uint64_t limit = 8 << 20);
// Writes `bytes` and returns their descriptor with `media_type`.
StatusOr<oci::Descriptor> WriteBlob(ContentStore& store, std::string_view bytes,
                                    std::string_view media_type);

}  // namespace kiln::cache
