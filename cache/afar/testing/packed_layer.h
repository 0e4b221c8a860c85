// A small eStargz layer and a source of its ranges that can fail, for tests.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "cache/content/blob_ranges.h"
#include "oci/estargz.h"
#include "oci/tar.h"

namespace kiln::cache::testing {

using PackedEntries = std::vector<std::pair<oci::TarHeader, std::string>>;

inline oci::TarHeader TarEntry(char type, std::string name, std::string link = "") {
  oci::TarHeader header;
  header.type = type;
  header.name = std::move(name);
  header.link_name = std::move(link);
  header.mode = type == '5' ? 0755 : 0644;
  header.mtime = {1700000000, 0};
  return header;
}

// Bytes that do not become fewer.
inline std::string Noise(size_t bytes, uint32_t seed = 1) {
  std::string noise(bytes, '\0');
  for (char& c : noise) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return noise;
}

// Thread-safe.
class PackedLayer : public BlobRanges {
 public:
  explicit PackedLayer(const PackedEntries& entries) {
    auto compressor = oci::NewEstargzCompressor(std::nullopt, oci::AppendTo(bytes_));
    oci::TarWriter tar([&](std::string_view bytes) { return compressor->Write(bytes); });
    for (auto [header, data] : entries) {
      header.size = static_cast<int64_t>(data.size());
      EXPECT_TRUE(tar.WriteHeader(header).ok());
      EXPECT_TRUE(tar.Write(data).ok());
    }
    EXPECT_TRUE(tar.Close().ok());
    EXPECT_TRUE(compressor->Finish().ok());
    blob.media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
    blob.size = static_cast<int64_t>(bytes_.size());
    blob.digest = Digest::Of(bytes_);
    blob.annotations = compressor->Notes();
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
