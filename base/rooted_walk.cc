// Walking, removing and extended attributes, all relative to open folders.
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <vector>

#include "base/rooted.h"

namespace kiln {
namespace {

StatusOr<std::vector<std::string>> SortedNames(int dir, const std::string& shown) {
  DIR* stream = ::fdopendir(::fcntl(dir, F_DUPFD_CLOEXEC, 0));
  if (stream == nullptr) return ErrnoStatus(errno, StrCat("open ", shown));
  ::rewinddir(stream);  // the offset is shared with `dir`
  std::vector<std::string> names;
  while (dirent* entry = ::readdir(stream)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

Status WalkIn(int dir, const std::string& prefix,
              const std::function<StatusOr<WalkStep>(const WalkEntry&)>& visit) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, SortedNames(dir, prefix));
  for (std::string& name : names) {
    struct stat st{};
    if (::fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return ErrnoStatus(errno, StrCat("lstat ", prefix, name));
    }
    WalkEntry entry{StrCat(prefix, name), dir, std::move(name), &st};
    ASSIGN_OR_RETURN(WalkStep step, visit(entry));
    if (!S_ISDIR(st.st_mode) || step == WalkStep::kSkipDir) continue;
    UniqueFd child(::openat(dir, entry.name.c_str(),
                            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!child.valid()) {
      if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) continue;  // no longer a folder
      return ErrnoStatus(errno, StrCat("open ", entry.path));
    }
    RETURN_IF_ERROR(WalkIn(child.get(), StrCat(entry.path, "/"), visit));
  }
  return OkStatus();
}

Status RemoveIn(int dir, const std::string& name, const std::string& shown) {
  if (::unlinkat(dir, name.c_str(), 0) == 0 || errno == ENOENT) return OkStatus();
  if (errno != EISDIR && errno != EPERM) return ErrnoStatus(errno, StrCat("remove ", shown));
  UniqueFd child(::openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!child.valid()) {
    return errno == ENOENT ? OkStatus() : ErrnoStatus(errno, StrCat("remove ", shown));
  }
  ASSIGN_OR_RETURN(std::vector<std::string> names, SortedNames(child.get(), shown));
  for (const std::string& inner : names) {
    RETURN_IF_ERROR(RemoveIn(child.get(), inner, StrCat(shown, "/", inner)));
  }
  if (::unlinkat(dir, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, StrCat("remove ", shown));
  }
  return OkStatus();
}

bool NoXattrs(int error) { return error == ENOTSUP || error == ENOSYS; }

// listxattrat(2) of Linux 6.13, which needs no detour through /proc; the C library does
// not know it yet. Its number is the same on all architectures.
ssize_t ListXattrs(int dir, std::string_view name, char* list, size_t size) {
  constexpr long kListXattrAt = 465;
  static std::atomic<bool> unknown = false;
  if (!unknown && !name.empty()) {
    long count = ::syscall(kListXattrAt, dir, std::string(name).c_str(), AT_SYMLINK_NOFOLLOW,
                           list, size);
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
    unknown = true;  // EPERM: a filter of system calls that is older than the call
  }
  return ::llistxattr(FdPath(dir, name).c_str(), list, size);
}

}  // namespace

Status WalkTree(int dir, const std::function<StatusOr<WalkStep>(const WalkEntry&)>& visit) {
  UniqueFd readable(::openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!readable.valid()) return ErrnoStatus(errno, "open");
  return WalkIn(readable.get(), "", visit);
}

Status RootedTree::RemoveAll(std::string_view path) const {
  StatusOr<Parent> parent = OpenParent(path);
  if (!parent.ok()) return IsNotFound(parent.status()) ? OkStatus() : parent.status();
  if (parent->name == ".") return InvalidArgumentError("remove /: is the root of the tree");
  return RemoveIn(parent->dir.get(), parent->name, std::string(path));
}

std::string FdPath(int dir, std::string_view name) {
  return StrCat("/proc/self/fd/", dir, "/", name);
}

StatusOr<std::string> ReadXattr(int dir, std::string_view name, std::string_view attribute) {
  std::string path = FdPath(dir, name);
  std::string key(attribute);
  for (;;) {
    ssize_t size = ::lgetxattr(path.c_str(), key.c_str(), nullptr, 0);
    std::string value(size < 0 ? 0 : static_cast<size_t>(size), '\0');
    if (size > 0) size = ::lgetxattr(path.c_str(), key.c_str(), value.data(), value.size());
    if (size < 0) {
      if (errno == ERANGE) continue;
      if (errno == ENODATA || NoXattrs(errno)) return std::string();
      return ErrnoStatus(errno, StrCat("getxattr ", name));
    }
    value.resize(static_cast<size_t>(size));
    return value;
  }
}

StatusOr<std::map<std::string, std::string>> ReadXattrs(int dir, std::string_view name) {
  std::map<std::string, std::string> xattrs;
  char small[512];
  ssize_t size = ListXattrs(dir, name, small, sizeof small);
  if (size == 0) return xattrs;
  std::string list(small, static_cast<size_t>(std::max<ssize_t>(size, 0)));
  while (size < 0) {
    if (NoXattrs(errno)) return xattrs;
    if (errno != ERANGE) return ErrnoStatus(errno, StrCat("listxattr ", name));
    list.resize(std::max<size_t>(list.size() * 4, 4096));
    size = ListXattrs(dir, name, list.data(), list.size());
    if (size >= 0) list.resize(static_cast<size_t>(size));
  }
  for (std::string_view key : StrSplit(list, '\0')) {
    if (key.empty()) continue;
    ASSIGN_OR_RETURN(xattrs[std::string(key)], ReadXattr(dir, name, key));
  }
  return xattrs;
}

Status WriteXattr(int dir, std::string_view name, std::string_view attribute,
                  std::string_view value) {
  if (::lsetxattr(FdPath(dir, name).c_str(), std::string(attribute).c_str(), value.data(),
                  value.size(), 0) != 0) {
    return ErrnoStatus(errno, StrCat("setxattr ", name, " ", attribute));
  }
  return OkStatus();
}

}  // namespace kiln
