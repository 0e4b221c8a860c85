#include "worker/exec/mount_stubs.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"

namespace kiln::worker::exec {
namespace {

bool IsEmptyDir(int dir, const std::string& name) {
  UniqueFd fd(::openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return false;
  DIR* stream = ::fdopendir(fd.Release());
  if (stream == nullptr) return false;
  bool empty = true;
  while (const dirent* entry = ::readdir(stream)) {
    std::string_view entry_name = entry->d_name;
    if (entry_name != "." && entry_name != "..") {
      empty = false;
      break;
    }
  }
  ::closedir(stream);
  return empty;
}

void RemoveIfEmpty(const RootedTree& tree, const std::string& path) {
  // A step may have moved things: only a path without links in it is the stub that was made.
  StatusOr<std::string> resolved = tree.Resolve(path);
  if (!resolved.ok() || *resolved != path) return;
  StatusOr<RootedTree::Parent> parent = tree.OpenParent(path);
  if (!parent.ok()) return;
  struct stat st = {};
  struct stat dir_st = {};
  if (::fstatat(parent->dir.get(), parent->name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 ||
      ::fstat(parent->dir.get(), &dir_st) != 0) {
    return;
  }
  const bool is_dir = S_ISDIR(st.st_mode);
  if (is_dir ? !IsEmptyDir(parent->dir.get(), parent->name) : st.st_size != 0) return;
  if (::unlinkat(parent->dir.get(), parent->name.c_str(), is_dir ? AT_REMOVEDIR : 0) != 0) return;
  timespec times[2] = {dir_st.st_atim, dir_st.st_mtim};
  ::utimensat(parent->dir.get(), ".", times, 0);
}

}  // namespace

MountStubs::MountStubs(const RootedTree& tree, const std::vector<std::string>& targets,
                       bool recursive)
    : tree_(tree) {
  std::vector<std::string> names = {"/etc/resolv.conf", "/etc/hosts"};
  names.insert(names.end(), targets.begin(), targets.end());
  for (const std::string& name : names) {
    StatusOr<std::string> resolved = tree.Resolve(CleanPath("/" + name));
    if (!resolved.ok()) continue;
    for (std::string path = *resolved; path != "/"; path = DirName(path)) {
      StatusOr<struct stat> st = tree.Lstat(path);
      if (st.ok()) break;
      missing_.push_back(path);
      if (!recursive) break;
    }
  }
}

void MountStubs::Remove() const {
  for (const std::string& path : missing_) {
    RemoveIfEmpty(tree_, path);
  }
}

}  // namespace kiln::worker::exec
