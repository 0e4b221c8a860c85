// A small eStargz layer and a source of its ranges that can fail, for tests.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/digest.h"
#include "cache/content/blob_ranges.h"
#include "oci/testing/packed_layer.h"

namespace kiln::cache::testing {

using oci::testing::Noise;
using oci::testing::PackedEntries;
using oci::testing::TarEntry;

// Thread-safe.
class PackedLayer : public BlobRanges {
 public:
  explicit PackedLayer(const PackedEntries& entries) {
    auto [bytes, notes] = oci::testing::Pack(entries);
    bytes_ = std::move(bytes);
    blob.media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
    blob.size = static_cast<int64_t>(bytes_.size());
    blob.digest = Digest::Of(bytes_);
    blob.annotations = std::move(notes);
  }
  StatusOr<std::string> ReadRange(const oci::Descriptor&, uint64_t offset, uint64_t length,
                                  std::stop_token) override {
    ++asked;
    read += length;
    std::lock_guard lock(mutex_);
    if (!failure_.ok()) return failure_;
    return bytes_.substr(offset, length);
  }
  void Fail(Status failure) {
    std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
  }
  void Damage(uint64_t offset) {
    std::lock_guard lock(mutex_);
    bytes_[offset] ^= 1;
  }

  oci::Descriptor blob;
  std::atomic<uint64_t> asked = 0, read = 0;  // requests, and bytes

 private:
  std::mutex mutex_;
  std::string bytes_;
  Status failure_;
};

}  // namespace kiln::cache::testing
