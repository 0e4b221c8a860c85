#include "cache/testing/fake_content_store.h"

#include <algorithm>
#include <cstring>

namespace kiln::cache {

class FakeBlobWriter : public BlobWriter {
 public:
  explicit FakeBlobWriter(FakeContentStore* store) : store_(store) {}
  Status Append(std::string_view data) override {
    bytes_ += data;
    return OkStatus();
  }
  StatusOr<oci::Descriptor> Commit(const oci::Descriptor& expected) override {
    oci::Descriptor written = expected;
    written.digest = Digest::Of(bytes_);
    written.size = static_cast<int64_t>(bytes_.size());
    bool unsized = expected.size < 0 || (expected.size == 0 && expected.digest.empty());
    if (!unsized && expected.size != written.size) return DataLossError("unexpected commit size");
    if (!expected.digest.empty() && expected.digest != written.digest) {
      return DataLossError("unexpected commit digest");
    }
    store_->holds_.Touch(written.digest);
    std::lock_guard lock(store_->mutex_);
    store_->blobs_[written.digest] = std::make_shared<const std::string>(std::move(bytes_));
    return written;
  }

 private:
  FakeContentStore* store_;
  std::string bytes_;
};

namespace {

class FakeReader : public BlobReader {
 public:
  explicit FakeReader(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_->size(); }
  StatusOr<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const override {
    if (offset >= bytes_->size()) return size_t{0};
    size_t count = std::min(buffer.size(), bytes_->size() - offset);
    std::memcpy(buffer.data(), bytes_->data() + offset, count);
    return count;
  }

 private:
  std::shared_ptr<const std::string> bytes_;
};

}  // namespace

StatusOr<std::unique_ptr<BlobReader>> FakeContentStore::Open(const Digest& digest) {
  holds_.Touch(digest);
  std::lock_guard lock(mutex_);
  auto it = blobs_.find(digest);
  if (it == blobs_.end()) return NotFoundError(StrCat("content ", digest.text(), ": not found"));
  return std::unique_ptr<BlobReader>(std::make_unique<FakeReader>(it->second));
}

StatusOr<std::unique_ptr<BlobWriter>> FakeContentStore::NewWriter() {
  return std::unique_ptr<BlobWriter>(std::make_unique<FakeBlobWriter>(this));
}

StatusOr<BlobStat> FakeContentStore::Stat(const Digest& digest) {
  holds_.Touch(digest);
  std::lock_guard lock(mutex_);
  auto it = blobs_.find(digest);
  if (it == blobs_.end()) return NotFoundError(StrCat("content ", digest.text(), ": not found"));
  return BlobStat{digest, static_cast<int64_t>(it->second->size())};
}

StatusOr<std::vector<BlobStat>> FakeContentStore::List() {
  std::lock_guard lock(mutex_);
  std::vector<BlobStat> found;
  for (const auto& [digest, bytes] : blobs_) {
    found.push_back({digest, static_cast<int64_t>(bytes->size())});
  }
  return found;
}

StatusOr<uint64_t> FakeContentStore::Sweep(const std::function<bool(const Digest&)>& is_live) {
  ASSIGN_OR_RETURN(std::vector<BlobStat> found, List());
  uint64_t freed = 0;
  for (const BlobStat& blob : found) {
    holds_.UnlessHeld(blob.digest, [&] {
      if (is_live(blob.digest)) return;
      std::lock_guard lock(mutex_);
      freed += static_cast<uint64_t>(blob.size);
      blobs_.erase(blob.digest);
    });
  }
  return freed;
}

}  // namespace kiln::cache
