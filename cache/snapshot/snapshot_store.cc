#include "cache/snapshot/snapshot_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>

#include "base/file.h"
#include "base/user_namespace.h"
#include "cache/snapshot/tree_copy.h"

namespace kiln::cache {
namespace {

// Features of overlayfs that would write redirects into upper folders, which
// then would not be layers; named only where the kernel has them switched on.
std::vector<std::string> OverlayOptions() {
  std::vector<std::string> options;
  for (std::string_view feature : {"index", "redirect_dir", "metacopy"}) {
    // Without redirects there anyway, a user namespace's overlay takes no word of them.
    if (feature == "redirect_dir" && InUserNamespace()) continue;
    StatusOr<std::string> value = ReadFile(StrCat("/sys/module/overlay/parameters/", feature));
    if (value.ok() && value->starts_with("Y")) options.push_back(StrCat(feature, "=off"));
  }
  return options;
}

bool KernelAtLeast(int64_t major, int64_t minor) {
  StatusOr<std::string> release = ReadFile("/proc/sys/kernel/osrelease");
  if (!release.ok()) return false;
  std::vector<std::string_view> parts = StrSplitN(*release, '.', 3);
  int64_t have_major = 0;
  int64_t have_minor = 0;
  if (parts.size() < 3 || !ParseInt64(parts[0], &have_major) ||
      !ParseInt64(parts[1], &have_minor)) {
    return false;
  }
  return have_major > major || (have_major == major && have_minor >= minor);
}

std::string EscapeLower(const std::string& path) {
  return ReplaceAll(ReplaceAll(path, "\\", "\\\\"), ":", "\\:");
}

}  // namespace

StatusOr<Snapshotter> ParseSnapshotter(std::string_view name) {
  if (name.empty() || name == "auto" || name == "overlayfs") return Snapshotter::kOverlay;
  if (name == "native") return Snapshotter::kNative;
  if (name == "fuse-overlayfs") return Snapshotter::kFuseOverlay;
  return InvalidArgumentError(StrCat("unknown snapshotter: ", Quote(name)));
}

StatusOr<std::unique_ptr<SnapshotStore>> SnapshotStore::Open(const std::string& root,
                                                             const std::string& trash,
                                                             Snapshotter kind) {
  std::unique_ptr<SnapshotStore> store(new SnapshotStore);
  RETURN_IF_ERROR(MakeDirs(root, 0700));
  store->root_ = root;
  store->trash_ = trash;
  store->kind_ = kind;
  if (kind == Snapshotter::kOverlay) {
    store->options_ = OverlayOptions();
    store->user_xattr_ = InUserNamespace();
    if (store->user_xattr_) store->options_.emplace_back("userxattr");
    store->volatile_ = KernelAtLeast(5, 10);
  }
  return store;
}

bool SnapshotStore::Exists(const std::string& id) const { return PathExists(FsDir(id)); }

Status SnapshotStore::Create(const std::string& id, std::span<const std::string> parents) {
  std::string dir = root_ + "/" + id;
  RETURN_IF_ERROR(MakeDirs(dir, 0700));
  if (layered()) RETURN_IF_ERROR(MakeDirs(dir + "/work", 0711));
  std::string fs = dir + "/fs";
  if (::mkdir(fs.c_str(), 0755) != 0) return ErrnoStatus(errno, StrCat("mkdir ", fs));
  if (::chmod(fs.c_str(), 0755) != 0) return ErrnoStatus(errno, StrCat("chmod ", fs));
  if (!parents.empty()) {
    // The root of an overlay is its uppermost folder, so it must look like the one below.
    const std::string below = FsDir(parents.back());
    RETURN_IF_ERROR(layered() ? CopyRootMetadata(below, fs) : CopyTree(below, fs));
  }
  return OkStatus();
}

Status SnapshotStore::Adopt(const std::string& id, const std::string& folder) {
  std::string dir = root_ + "/" + id;
  RETURN_IF_ERROR(MakeDirs(dir, 0700));
  if (layered()) RETURN_IF_ERROR(MakeDirs(dir + "/work", 0711));
  if (::rename(folder.c_str(), FsDir(id).c_str()) != 0) {
    return ErrnoStatus(errno, StrCat("rename ", folder));
  }
  return OkStatus();
}

std::vector<Mount> SnapshotStore::View(std::span<const std::string> layers) const {
  if (!layered() || layers.size() == 1) {
    return {Mount{"bind", FsDir(layers.back()), {"rbind", "ro"}}};
  }
  std::vector<std::string> lowers;
  std::set<std::string_view> seen;  // the kernel refuses a folder that is there twice
  for (auto it = layers.rbegin(); it != layers.rend(); ++it) {
    if (seen.insert(*it).second) lowers.push_back(EscapeLower(FsDir(*it)));
  }
  if (lowers.size() == 1) return {Mount{"bind", FsDir(layers.back()), {"rbind", "ro"}}};
  bool fuse = kind_ == Snapshotter::kFuseOverlay;
  Mount mount{fuse ? "fuse3.fuse-overlayfs" : "overlay", "overlay", options_};
  mount.options.push_back(StrCat("lowerdir=", StrJoin(lowers, ":")));
  return {std::move(mount)};
}

std::vector<Mount> SnapshotStore::Writable(const std::string& id,
                                           std::span<const std::string> parents,
                                           bool durable) const {
  if (!layered() || parents.empty()) return {Mount{"bind", FsDir(id), {"rbind", "rw"}}};
  std::vector<std::string> lowers;
  std::set<std::string_view> seen;
  for (auto it = parents.rbegin(); it != parents.rend(); ++it) {
    if (seen.insert(*it).second) lowers.push_back(EscapeLower(FsDir(*it)));
  }
  bool fuse = kind_ == Snapshotter::kFuseOverlay;
  const std::string work_dir = JoinPath(JoinPath(root_, id), "work");
  Mount mount{fuse ? "fuse3.fuse-overlayfs" : "overlay", "overlay", options_};
  if (volatile_) {
    // The mark of an earlier volatile mount, which the kernel would refuse to follow.
    RemoveAll(JoinPath(JoinPath(work_dir, "work"), "incompat")).IgnoreError();
    if (!durable) mount.options.emplace_back("volatile");
  }
  mount.options.push_back(StrCat("workdir=", work_dir));
  mount.options.push_back(StrCat("upperdir=", FsDir(id)));
  mount.options.push_back(StrCat("lowerdir=", StrJoin(lowers, ":")));
  return {std::move(mount)};
}

StatusOr<int64_t> SnapshotStore::Usage(const std::string& id) const {
  ASSIGN_OR_RETURN(uint64_t bytes, DiskUsageOf(FsDir(id)));
  return static_cast<int64_t>(bytes);
}

Status SnapshotStore::Remove(const std::string& id) {
  std::string gone = StrCat(trash_, "/snapshot-", id, "-", NewId());
  if (::rename((root_ + "/" + id).c_str(), gone.c_str()) != 0) {
    return errno == ENOENT ? OkStatus() : ErrnoStatus(errno, StrCat("remove snapshot ", id));
  }
  return RemoveAll(gone);
}

StatusOr<std::vector<std::string>> SnapshotStore::List() const { return ListDir(root_); }

}  // namespace kiln::cache
