// SnapshotStore: folders of files that can be mounted, one per layer of change.
//
// overlayfs: <root>/<id>/fs holds what changed, in overlay form (whiteouts are
// 0/0 devices), and work belongs to the kernel. native: fs holds the whole tree.
// What a snapshot means, and which are needed, is known to the RefStore.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cache/mount.h"

namespace kiln::cache {

enum class Snapshotter { kOverlay, kNative, kFuseOverlay };
StatusOr<Snapshotter> ParseSnapshotter(std::string_view name);

// Thread-safe: it holds no state but paths. Ids are names of our own making.
class SnapshotStore {
 public:
  // `trash` is a folder on the same file system that is emptied at start.
  static StatusOr<std::unique_ptr<SnapshotStore>> Open(const std::string& root,
                                                       const std::string& trash,
                                                       Snapshotter kind);
  Snapshotter kind() const { return kind_; }
  bool layered() const { return kind_ != Snapshotter::kNative; }
  bool user_xattr() const { return user_xattr_; }

  // An empty snapshot; native: a copy of the top of `parents` (lowest first).
  Status Create(const std::string& id, std::span<const std::string> parents);
  // Takes over a folder from elsewhere on the file system as the fs/ of a new snapshot.
  Status Adopt(const std::string& id, const std::string& folder);
  // An absolute path stands for itself: a folder that is no snapshot but part of a stack.
  std::string FsDir(const std::string& id) const {
    return id.starts_with('/') ? id : root_ + "/" + id + "/fs";
  }
  bool Exists(const std::string& id) const;
  // Read-only view of the stack `layers` (lowest first, not empty). A folder that
  // is there twice counts where it is uppermost.
  std::vector<Mount> View(std::span<const std::string> layers) const;
  // Writable view of `id` over `parents`. Unless `durable`, unmounting does not write
  // the changes out, and fsync inside does nothing (overlayfs' "volatile"). Not to be
  // asked for while an earlier view is still mounted.
  std::vector<Mount> Writable(const std::string& id, std::span<const std::string> parents,
                              bool durable) const;
  // Bytes allocated by fs/ alone.
  StatusOr<int64_t> Usage(const std::string& id) const;
  // Missing is OK. The name is free at once, the bytes soon after.
  Status Remove(const std::string& id);
  StatusOr<std::vector<std::string>> List() const;

 private:
  SnapshotStore() = default;
  std::string root_;
  std::string trash_;
  Snapshotter kind_ = Snapshotter::kOverlay;
  std::vector<std::string> options_;  // of every overlay mount
  bool user_xattr_ = false;
  bool volatile_ = false;
};

}  // namespace kiln::cache
