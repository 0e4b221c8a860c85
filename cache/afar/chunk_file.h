// Chunks of layers on disk: what was read from afar once need not be fetched again.
//
// A layer's chunks lie in one sparse file without a name, each at a place of its own, so
// that nothing is left of it when the process ends, however it ends. All layers share one
// bound; beyond it the chunks that were not read for the longest time make room.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"

namespace kiln::cache {

class ChunkFile;

// The bound. Thread-safe; outlived by no ChunkFile's last call.
class ChunkSpace {
 public:
  explicit ChunkSpace(int64_t max_bytes) : max_bytes_(max_bytes) {}

 private:
  friend class ChunkFile;
  struct Place {
    ChunkFile* file;
    uint32_t chunk;
    int readers = 0;
  };
  void MakeRoomLocked();

  const int64_t max_bytes_;
  std::mutex mutex_;
  int64_t bytes_ = 0;        // of all files
  std::list<Place> places_;  // the last read first
};

// One layer's. Thread-safe, blocking on the disk.
class ChunkFile {
 public:
  // `folder` is where the disk is; `sizes` are the chunks' in bytes.
  static StatusOr<std::unique_ptr<ChunkFile>> Open(const std::string& folder,
                                                   std::span<const uint64_t> sizes,
                                                   std::shared_ptr<ChunkSpace> space);
  ~ChunkFile();

  bool Has(uint32_t chunk) const;
  // Fills `out` from `offset` in the chunk on. False if it is not here.
  StatusOr<bool> Read(uint32_t chunk, uint64_t offset, std::span<char> out);
  // `data` is the whole chunk. Not for one chunk twice at a time.
  Status Write(uint32_t chunk, std::string_view data);
  int64_t bytes() const;  // on disk

 private:
  friend class ChunkSpace;
  using Places = std::list<ChunkSpace::Place>;
  ChunkFile(UniqueFd fd, std::shared_ptr<ChunkSpace> space)
      : fd_(std::move(fd)), space_(std::move(space)) {}
  int64_t RoomOf(uint32_t chunk) const { return starts_[chunk + 1] - starts_[chunk]; }

  const UniqueFd fd_;
  const std::shared_ptr<ChunkSpace> space_;
  std::vector<int64_t> starts_;  // and the end of the last one
  // Guarded by the space's mutex:
  std::unordered_map<uint32_t, Places::iterator> here_;
  int64_t bytes_ = 0;
};

}  // namespace kiln::cache
