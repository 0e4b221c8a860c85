// A ContentStore in memory, for unit tests. Held to the same conformance suite
// as the one on disk (content_store_suite.h).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "cache/content/blob_holds.h"
#include "cache/content/content_store.h"

namespace kiln::cache {

// Thread-safe.
class FakeContentStore : public ContentStore {
 public:
  using ContentStore::Open;
  StatusOr<std::unique_ptr<BlobReader>> Open(const Digest& digest) override;
  StatusOr<std::unique_ptr<BlobWriter>> NewWriter() override;
  StatusOr<BlobStat> Stat(const Digest& digest) override;
  StatusOr<std::vector<BlobStat>> List() override;
  std::shared_ptr<void> Hold() override { return holds_.Hold(); }
  StatusOr<uint64_t> Sweep(const std::function<bool(const Digest&)>& is_live) override;

 private:
  friend class FakeBlobWriter;
  std::mutex mutex_;
  std::map<Digest, std::shared_ptr<const std::string>> blobs_;
  BlobHolds holds_;
};

}  // namespace kiln::cache
