// A layer that is used from afar: its tree is known, the bytes of its files are fetched when
// they are read.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <stop_token>
#include <string>

#include "base/status.h"
#include "cache/afar/chunk_file.h"
#include "cache/content/blob_ranges.h"
#include "oci/descriptor.h"
#include "oci/estargz_tree.h"

namespace kiln::cache {

// Thread-safe. Read blocks on disk and network; other layers do not wait for it.
class AfarLayer {
 public:
  // Fetches the table of contents of `blob`. Fails with the reason why the layer cannot be used
  // so: no eStargz, no note of its table's digest, no ranges, and what EstargzTree refuses.
  // Chunks are kept in `folder`'s file system.
  static StatusOr<std::shared_ptr<AfarLayer>> Open(oci::Descriptor blob,
                                                   std::shared_ptr<BlobRanges> ranges,
                                                   const std::string& folder,
                                                   std::shared_ptr<ChunkSpace> space,
                                                   std::stop_token stop);
  const oci::EstargzTree& tree() const { return tree_; }
  // Fills `out` from `offset` of a file, up to its end. Every byte is one that the table of
  // contents vouches for. A source that fails is told of in the log; who waits for it then
  // fails with it, who comes later asks it again; some seconds later if it was silent.
  StatusOr<size_t> Read(uint32_t node, uint64_t offset, std::span<char> out);
  int64_t bytes() const { return chunks_->bytes(); }  // on disk
  // Reads end, and fail from here on.
  void Stop() { stop_.request_stop(); }

 private:
  AfarLayer(oci::Descriptor blob, std::shared_ptr<BlobRanges> ranges, oci::EstargzTree tree,
            std::unique_ptr<ChunkFile> chunks)
      : blob_(std::move(blob)),
        ranges_(std::move(ranges)),
        tree_(std::move(tree)),
        chunks_(std::move(chunks)) {}
  Status ReadChunk(uint32_t chunk, uint64_t offset, std::span<char> out);
  Status Fetch(uint32_t first, uint32_t end, uint32_t wanted, uint64_t offset,
               std::span<char> out);
  uint32_t WindowLocked(uint32_t first);
  bool BusyLocked(uint32_t stream) const { return busy_.contains(stream); }

  const oci::Descriptor blob_;
  const std::shared_ptr<BlobRanges> ranges_;
  const oci::EstargzTree tree_;
  const std::unique_ptr<ChunkFile> chunks_;
  std::stop_source stop_;

  std::mutex mutex_;
  std::condition_variable done_;
  std::set<uint32_t> busy_;      // streams that are being fetched
  uint32_t next_ = UINT32_MAX;   // the stream after the last one that was fetched
  uint64_t window_ = 0;          // bytes to fetch at a time
  Status failed_;                // the last fetch, if it did
  std::chrono::steady_clock::time_point failed_at_;
  std::chrono::steady_clock::time_point patience_;  // until then a failure stands
};

}  // namespace kiln::cache
