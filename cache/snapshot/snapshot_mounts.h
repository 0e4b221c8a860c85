// What the mounts that a snapshotter gives say of its folders.
#pragma once

#include <string>
#include <vector>

#include "cache/mount.h"
#include "cache/snapshot/snapshot_store.h"

namespace kiln::cache {

struct SnapshotFolders {
  std::string fs;        // the snapshot's own: an overlay's upper folder, or the whole tree
  std::string work;      // of an overlay that is mounted over `fs`; "": there is none
  bool mounted = false;  // `fs` is a mount of ours
};

// `fs` is empty for mounts that are neither one bind nor one overlay. Of an overlay without an
// upper folder it is the uppermost lower one.
SnapshotFolders FoldersOf(const std::vector<Mount>& mounts);
// Where containerd's overlayfs has the work folder of `fs`.
std::string WorkBeside(const std::string& fs);
// Of the mounts of a snapshot that lies on another one.
SnapshotKind KindOf(const std::vector<Mount>& mounts);

}  // namespace kiln::cache
