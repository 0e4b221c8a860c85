// The tree of files that an eStargz layer holds, and where in the blob their bytes are.
//
// Made of a table of contents alone, in the form that overlayfs wants of a lower folder:
// whiteouts are 0/0 devices, opaque folders are marked. Equal to what ApplyLayer
// (oci/layer.h) would write, or refused: a layer that needs those below it, names that lead
// through links, bytes that nobody could check. Follows containerd/stargz-snapshotter
// docs/estargz.md.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace kiln::oci {

// A piece of a file. All numbers in bytes.
struct EstargzChunk {
  uint64_t file_offset = 0;
  uint64_t size = 0;    // never 0
  uint64_t inner = 0;   // where it starts in what its stream holds
  uint32_t stream = 0;  // index into streams()
  std::array<uint8_t, 32> sha256{};
};

// A gzip member, and those after it up to the next one that a chunk starts with.
struct EstargzStream {
  uint64_t offset = 0, end = 0;    // in the blob
  uint32_t first = 0, count = 0;   // of stream_chunks()
};

struct EstargzNode {
  enum class Kind : uint8_t { kFolder, kFile, kSymlink, kCharDevice, kBlockDevice, kFifo };
  Kind kind = Kind::kFolder;
  bool opaque = false;
  bool implied = false;  // a folder that has no entry of its own
  uint32_t mode = 0755;  // permissions and set-id bits
  uint32_t uid = 0, gid = 0;
  uint32_t links = 1;  // names in this layer
  uint64_t size = 0;   // of a file
  int64_t mtime = 0;   // seconds
  uint32_t mtime_nanos = 0;
  uint32_t dev_major = 0, dev_minor = 0;
  uint32_t first_chunk = 0, chunk_count = 0;  // of chunks(), in the order of the file
  std::string target;                         // of a symlink
  std::vector<std::pair<std::string, std::string>> xattrs;
  std::vector<std::pair<std::string, uint32_t>> children;  // by name
};

// Immutable.
class EstargzTree {
 public:
  static constexpr uint64_t kMaxChunkBytes = 16 << 20;
  static constexpr uint64_t kMaxStreamBytes = 32 << 20;
  static constexpr size_t kMaxNodes = 4 << 20;

  // `toc_offset`: where the chunks end in the blob. INVALID_ARGUMENT for a table that is wrong,
  // UNIMPLEMENTED for a layer that can only be unpacked; the texts say why.
  static StatusOr<EstargzTree> Parse(std::string_view toc_json, uint64_t toc_offset);

  const std::vector<EstargzNode>& nodes() const { return nodes_; }  // 0 is the root
  const std::vector<EstargzChunk>& chunks() const { return chunks_; }
  const std::vector<EstargzStream>& streams() const { return streams_; }
  // Chunks by stream and place in it.
  const std::vector<uint32_t>& stream_chunks() const { return stream_chunks_; }
  // It hides something of the layers below.
  bool has_whiteouts() const { return has_whiteouts_; }
  // Folders without an entry, which look as in the layers below; the root is none of them.
  bool has_implied_folders() const { return has_implied_folders_; }
  // Index of the child, or 0.
  uint32_t Find(uint32_t folder, std::string_view name) const;

 private:
  friend class EstargzTreeBuilder;
  std::vector<EstargzNode> nodes_;
  std::vector<EstargzChunk> chunks_;
  std::vector<EstargzStream> streams_;
  std::vector<uint32_t> stream_chunks_;
  bool has_whiteouts_ = false;
  bool has_implied_folders_ = false;
};

}  // namespace kiln::oci
