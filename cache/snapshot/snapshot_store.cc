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

// Folders of our own: <root>/<id>/{fs,work}. It holds no state but paths.
class DiskSnapshots : public SnapshotStore {
 public:
  DiskSnapshots(std::string root, std::string trash, SnapshotKind kind)
      : root_(std::move(root)), trash_(std::move(trash)) {
    SetKind(kind);
  }
  Status Create(const std::string& id, std::span<const std::string> parents) override;
  Status Adopt(const std::string& id, const std::string& folder,
               std::span<const std::string> parents) override;
  Status Remove(const std::string& id) override;
  StatusOr<std::vector<std::string>> List() const override { return ListDir(root_); }
  std::string folder() const override { return root_; }

 protected:
  std::string FolderOf(const std::string& id) const override { return root_ + "/" + id + "/fs"; }
  std::string WorkOf(const std::string& id) const override { return root_ + "/" + id + "/work"; }

 private:
  const std::string root_;
  const std::string trash_;
};

Status DiskSnapshots::Create(const std::string& id, std::span<const std::string> parents) {
  RETURN_IF_ERROR(MakeDirs(root_ + "/" + id, 0700));
  if (layered()) RETURN_IF_ERROR(MakeDirs(WorkOf(id), 0711));
  std::string fs = FolderOf(id);
  if (::mkdir(fs.c_str(), 0755) != 0) return ErrnoStatus(errno, StrCat("mkdir ", fs));
  if (::chmod(fs.c_str(), 0755) != 0) return ErrnoStatus(errno, StrCat("chmod ", fs));
  if (!parents.empty()) {
    // The root of an overlay is its uppermost folder, so it must look like the one below.
    const std::string below = FsDir(parents.back());
    RETURN_IF_ERROR(layered() ? CopyRootMetadata(below, fs) : CopyTree(below, fs));
  }
  return OkStatus();
}

Status DiskSnapshots::Adopt(const std::string& id, const std::string& folder,
                            std::span<const std::string>) {
  RETURN_IF_ERROR(MakeDirs(root_ + "/" + id, 0700));
  if (layered()) RETURN_IF_ERROR(MakeDirs(WorkOf(id), 0711));
  if (::rename(folder.c_str(), FolderOf(id).c_str()) != 0) {
    return ErrnoStatus(errno, StrCat("rename ", folder));
  }
  return OkStatus();
}

Status DiskSnapshots::Remove(const std::string& id) {
  std::string gone = StrCat(trash_, "/snapshot-", id, "-", NewId());
  if (::rename((root_ + "/" + id).c_str(), gone.c_str()) != 0) {
    return errno == ENOENT ? OkStatus() : ErrnoStatus(errno, StrCat("remove snapshot ", id));
  }
  return RemoveAll(gone);
}

}  // namespace

StatusOr<SnapshotKind> ParseSnapshotKind(std::string_view name) {
  if (name.empty() || name == "auto" || name == "overlayfs" || name == "stargz") {
    return SnapshotKind::kOverlay;
  }
  if (name == "native") return SnapshotKind::kNative;
  if (name == "fuse-overlayfs") return SnapshotKind::kFuseOverlay;
  return InvalidArgumentError(StrCat("unknown snapshotter: ", Quote(name)));
}

StatusOr<std::unique_ptr<SnapshotStore>> SnapshotStore::Open(const std::string& root,
                                                             const std::string& trash,
                                                             SnapshotKind kind) {
  RETURN_IF_ERROR(MakeDirs(root, 0700));
  return std::unique_ptr<SnapshotStore>(std::make_unique<DiskSnapshots>(root, trash, kind));
}

void SnapshotStore::SetKind(SnapshotKind kind) {
  kind_ = kind;
  if (kind != SnapshotKind::kOverlay) return;
  options_ = OverlayOptions();
  user_xattr_ = InUserNamespace();
  if (user_xattr_) options_.emplace_back("userxattr");
  volatile_ = KernelAtLeast(5, 10);
}

bool SnapshotStore::Exists(const std::string& id) const {
  const std::string fs = FsDir(id);
  return !fs.empty() && PathExists(fs);
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
  bool fuse = kind_ == SnapshotKind::kFuseOverlay;
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
  bool fuse = kind_ == SnapshotKind::kFuseOverlay;
  const std::string work_dir = WorkOf(id);
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

StatusOr<DiskUsage> SnapshotStore::Usage(const std::string& id) const {
  return DiskUsageOf(FsDir(id));
}

}  // namespace kiln::cache
