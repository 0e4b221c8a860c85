#include "cache/snapshot/snapshot_mounts.h"

#include "base/file.h"
#include "base/strings.h"

namespace kiln::cache {
namespace {

bool IsOverlay(const Mount& mount) {
  return mount.type == "overlay" || Contains(mount.type, "fuse-overlayfs");
}

std::string OptionOf(const Mount& mount, std::string_view name) {
  for (std::string_view option : mount.options) {
    std::string_view key = option, value;
    if (StrCut(option, "=", &key, &value) && key == name) return std::string(value);
  }
  return "";
}

// The first of "a:b:c"; a backslash protects what follows it.
std::string FirstLower(std::string_view text) {
  std::string first;
  for (size_t i = 0; i < text.size() && text[i] != ':'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    first += text[i];
  }
  return first;
}

}  // namespace

SnapshotFolders FoldersOf(const std::vector<Mount>& mounts) {
  if (mounts.size() != 1) return {};
  const Mount& mount = mounts.front();
  if (IsOverlay(mount)) {
    const std::string upper = OptionOf(mount, "upperdir");
    if (!upper.empty()) return {upper, OptionOf(mount, "workdir"), false};
    const std::string lower = FirstLower(OptionOf(mount, "lowerdir"));
    return {lower, WorkBeside(lower), false};
  }
  if (mount.type == "bind" || mount.type == "rbind") {
    return {mount.source, WorkBeside(mount.source), false};
  }
  return {};
}

std::string WorkBeside(const std::string& fs) { return JoinPath(DirName(fs), "work"); }

SnapshotKind KindOf(const std::vector<Mount>& mounts) {
  if (mounts.size() != 1 || !IsOverlay(mounts.front())) return SnapshotKind::kNative;
  return mounts.front().type == "overlay" ? SnapshotKind::kOverlay : SnapshotKind::kFuseOverlay;
}

}  // namespace kiln::cache
