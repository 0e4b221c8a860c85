// SnapshotStore: folders of files that can be mounted, one per layer of change.
//
// Layered (overlayfs): the folder holds what changed, in overlay form (whiteouts are
// 0/0 devices), and a work folder belongs to the kernel. Otherwise (native) it holds
// the whole tree. What a snapshot means, and which are needed, is known to the RefStore.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "cache/mount.h"

namespace kiln::cache {

enum class SnapshotKind { kOverlay, kNative, kFuseOverlay };
StatusOr<SnapshotKind> ParseSnapshotKind(std::string_view name);

// Thread-safe. Ids are names of our own making.
class SnapshotStore {
 public:
  // The store on disk: <root>/<id>/{fs,work}. `trash` is a folder on the same file system
  // that is emptied at start.
  static StatusOr<std::unique_ptr<SnapshotStore>> Open(const std::string& root,
                                                       const std::string& trash,
                                                       SnapshotKind kind);
  virtual ~SnapshotStore() = default;
  SnapshotKind kind() const { return kind_; }
  bool layered() const { return kind_ != SnapshotKind::kNative; }
  bool user_xattr() const { return user_xattr_; }
  // Whether a snapshot knows those below it: Adopt then wants them to be there first.
  virtual bool chained() const { return false; }

  // An empty snapshot; not layered: a copy of the top of `parents` (lowest first).
  virtual Status Create(const std::string& id, std::span<const std::string> parents) = 0;
  // Takes over a folder from elsewhere, best on the same file system, as what a new
  // snapshot holds; it is frozen. `parents` are those below, as far as they are known.
  virtual Status Adopt(const std::string& id, const std::string& folder,
                       std::span<const std::string> parents) = 0;
  // The snapshot is not written any more.
  virtual Status Freeze(const std::string&) { return OkStatus(); }
  virtual bool frozen(const std::string&) const { return false; }  // false: nobody knows
  // Where the files of a snapshot are; "" if there is no such. An absolute path stands for
  // itself: a folder that is no snapshot but part of a stack.
  std::string FsDir(const std::string& id) const { return id.starts_with('/') ? id : FolderOf(id); }
  bool Exists(const std::string& id) const;
  // Read-only view of the stack `layers` (lowest first, not empty). A folder that
  // is there twice counts where it is uppermost.
  std::vector<Mount> View(std::span<const std::string> layers) const;
  // Writable view of `id` over `parents`. Unless `durable`, unmounting does not write
  // the changes out, and fsync inside does nothing (overlayfs' "volatile"). Not to be
  // asked for while an earlier view is still mounted.
  std::vector<Mount> Writable(const std::string& id, std::span<const std::string> parents,
                              bool durable) const;
  // Of the folder alone.
  StatusOr<DiskUsage> Usage(const std::string& id) const;
  // Missing is OK. The name is free at once, the bytes soon after.
  virtual Status Remove(const std::string& id) = 0;
  // Frees what was removed, where that takes another step.
  virtual Status Collect() { return OkStatus(); }
  // What is there, each before those that it lies on.
  virtual StatusOr<std::vector<std::string>> List() const = 0;
  // A folder on the file system of the snapshots; "" as long as it is not known.
  virtual std::string folder() const = 0;

 protected:
  SnapshotStore() = default;
  void SetKind(SnapshotKind kind);
  virtual std::string FolderOf(const std::string& id) const = 0;
  virtual std::string WorkOf(const std::string& id) const = 0;  // the kernel's, beside it

 private:
  SnapshotKind kind_ = SnapshotKind::kNative;
  std::vector<std::string> options_;  // of every overlay mount
  bool user_xattr_ = false;
  bool volatile_ = false;
};

}  // namespace kiln::cache
