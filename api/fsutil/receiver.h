// ReceiveTree: the receiving side of a tree transfer, into a folder.
//
// Compares what is announced with what the folder holds and takes only what
// differs. A file that changes is written anew and renamed into place, so that
// another name of the old one keeps its content.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/fsutil/fs_stat.h"
#include "api/fsutil/packet_stream.h"
#include "base/digest.h"
#include "base/status.h"

namespace kiln::api {

enum class FsChange { kAdd, kModify, kDelete };

// Digest of one entry while its bytes arrive. Used by one thread at a time.
class EntryHash {
 public:
  virtual ~EntryHash() = default;
  virtual void Update(std::string_view bytes) = 0;
  virtual Digest Finish() = 0;
};

struct ReceiveOptions {
  std::string dest;  // exists
  // Keep what is in `dest` and not in the stream, and take every file.
  bool merge = false;
  // Take every file, even if size, time and metadata agree.
  bool differ_none = false;
  // May change an entry before it is compared and written; false drops it. Also
  // called, with nothing but a path, for what is about to be deleted. Not seen
  // by `hash` and `on_change`, which get the entry as it was sent.
  std::function<bool(FsStat&)> filter = {};
  // Makes the hash of an entry (its header included); needed with on_change.
  std::function<std::unique_ptr<EntryHash>(const FsStat&)> hash = {};
  // One call at a time, from several threads: folders, links and deletions in
  // order, regular files when their last byte is on disk. Deletions of a
  // folder are told once. The digest is empty for kDelete.
  std::function<Status(FsChange, const FsStat&, const Digest&)> on_change = {};
  // Set: all entries are recorded in "<dest>/.fsutil-metadata", and only those
  // for which it says true (and their parents) are taken.
  std::function<bool(const FsStat&)> metadata_only = {};
  std::function<void(int64_t bytes)> on_progress = {};
  // What is announced is kept until the end, in some 700 bytes beside its names: a peer
  // that goes on for ever must not take all memory. Trees of users have a tenth of this.
  size_t max_entries = 10'000'000;
  size_t max_entry_bytes = 512 << 20;  // of names, links and extended attributes
};

// Blocks until the sender has confirmed the end; uses threads of its own. The
// peer is not trusted: paths that leave the folder, entries out of order, links
// to what was not announced, data that was not asked for and more than the options'
// bounds (RESOURCE_EXHAUSTED) end the transfer.
// After a failure `dest` may hold a part of the changes.
Status ReceiveTree(PacketStream& stream, const ReceiveOptions& options);

}  // namespace kiln::api
