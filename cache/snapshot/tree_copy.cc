// Copies of trees and of single entries. See tree_copy.h; diff is in tree_diff.cc.
#include "cache/snapshot/tree_copy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include <cerrno>
#include <functional>
#include <vector>

#include "base/file.h"
#include "base/rooted.h"

namespace kiln::cache {
namespace {

Status CopyContent(int from, const std::string& name, int64_t size, int to,
                   const std::string& to_name, mode_t mode) {
  UniqueFd in(::openat(from, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!in.valid()) return ErrnoStatus(errno, StrCat("open ", name));
  UniqueFd out(::openat(to, to_name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!out.valid()) return ErrnoStatus(errno, StrCat("create ", name));
  if (size > 0 && ::ioctl(out.get(), FICLONE, in.get()) == 0) return OkStatus();
  bool in_kernel = true;
  std::string buffer;
  for (;;) {
    ssize_t count;
    if (in_kernel) {
      count = ::copy_file_range(in.get(), nullptr, out.get(), nullptr, size_t{1} << 30, 0);
      if (count < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
                        errno == EOPNOTSUPP)) {
        in_kernel = false;
        buffer.resize(1 << 20);
        continue;
      }
    } else {
      count = ::read(in.get(), buffer.data(), buffer.size());
      if (count > 0) {
        RETURN_IF_ERROR(
            WriteAll(out.get(), std::string_view(buffer).substr(0, static_cast<size_t>(count))));
      }
    }
    if (count == 0) return OkStatus();
    if (count < 0 && errno != EINTR) return ErrnoStatus(errno, StrCat("copy ", name));
  }
}

Status CopyLink(int from, const std::string& name, int to, const std::string& to_name) {
  std::string text(4096, '\0');
  ssize_t count = ::readlinkat(from, name.c_str(), text.data(), text.size());
  if (count < 0) return ErrnoStatus(errno, StrCat("readlink ", name));
  text.resize(static_cast<size_t>(count));
  if (::symlinkat(text.c_str(), to, to_name.c_str()) != 0) {
    return ErrnoStatus(errno, StrCat("symlink ", name));
  }
  return OkStatus();
}

}  // namespace

bool IsWhiteout(const struct stat& st) { return S_ISCHR(st.st_mode) && st.st_rdev == 0; }

bool IsOpaque(int dir, const std::string& name) {
  for (const char* attribute : {"trusted.overlay.opaque", "user.overlay.opaque"}) {
    StatusOr<std::string> value = ReadXattr(dir, name, attribute);
    if (value.ok() && *value == "y") return true;
  }
  return false;
}

Status CopyMetadata(int from, const std::string& from_name, const struct stat& st, int to,
                    const std::string& to_name) {
  if (::fchownat(to, to_name.c_str(), st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) != 0 &&
      errno != EPERM) {
    return ErrnoStatus(errno, StrCat("chown ", to_name));
  }
  ASSIGN_OR_RETURN(auto xattrs, ReadXattrs(from, from_name));
  for (const auto& [key, value] : xattrs) {
    if (key.starts_with("trusted.overlay.") || key.starts_with("user.overlay.")) continue;
    if (Status status = WriteXattr(to, to_name, key, value);
        !status.ok() && status.code() != StatusCode::kUnimplemented &&
        status.code() != StatusCode::kPermissionDenied && errno != ENOTSUP) {
      return status;
    }
  }
  // After chown, which clears set-id bits.
  if (!S_ISLNK(st.st_mode) &&
      ::fchmodat(to, to_name.c_str(), st.st_mode & 07777, 0) != 0) {
    return ErrnoStatus(errno, StrCat("chmod ", to_name));
  }
  timespec times[2] = {st.st_atim, st.st_mtim};
  if (::utimensat(to, to_name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, StrCat("utimes ", to_name));
  }
  return OkStatus();
}

Status CopyOne(int from, const std::string& name, const struct stat& st, int to,
               const std::string& path, CopyTarget& target) {
  bool may_be_linked = !S_ISDIR(st.st_mode) && st.st_nlink > 1;
  if (may_be_linked) {
    auto [it, fresh] = target.links.try_emplace({st.st_dev, st.st_ino}, path);
    if (!fresh) {
      if (::linkat(target.root, it->second.c_str(), to, name.c_str(), 0) != 0) {
        return ErrnoStatus(errno, StrCat("link ", path));
      }
      return OkStatus();
    }
  }
  if (S_ISDIR(st.st_mode)) {
    if (::mkdirat(to, name.c_str(), 0700) != 0 && errno != EEXIST) {
      return ErrnoStatus(errno, StrCat("mkdir ", path));
    }
  } else if (S_ISREG(st.st_mode)) {
    RETURN_IF_ERROR(CopyContent(from, name, st.st_size, to, name, 0600));
  } else if (S_ISLNK(st.st_mode)) {
    RETURN_IF_ERROR(CopyLink(from, name, to, name));
  } else if (::mknodat(to, name.c_str(), st.st_mode, st.st_rdev) != 0) {
    return ErrnoStatus(errno, StrCat("mknod ", path));
  }
  return CopyMetadata(from, name, st, to, name);
}

Status CopyRootMetadata(const std::string& source, const std::string& target) {
  ASSIGN_OR_RETURN(RootedTree from, RootedTree::Open(source));
  ASSIGN_OR_RETURN(RootedTree to, RootedTree::Open(target));
  struct stat st{};
  if (::fstat(from.fd(), &st) != 0) return ErrnoStatus(errno, source);
  return CopyMetadata(from.fd(), ".", st, to.fd(), ".");
}

namespace {

using CopyEntry =
    std::function<Status(const WalkEntry&, const RootedTree::Parent& to, const std::string& path)>;

Status MakeTree(const std::string& source, const std::string& target, const RootedTree& to,
                const CopyEntry& copy) {
  ASSIGN_OR_RETURN(RootedTree from, RootedTree::Open(source));
  std::vector<std::string> folders;
  auto visit = [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    ASSIGN_OR_RETURN(RootedTree::Parent parent, to.OpenParent(entry.path));
    RETURN_IF_ERROR(copy(entry, parent, entry.path));
    if (S_ISDIR(entry.st->st_mode)) folders.push_back(entry.path);
    return WalkStep::kContinue;
  };
  RETURN_IF_ERROR(WalkTree(from.fd(), visit));
  // Filling a folder changed its time: children before parents, so in reverse.
  for (auto it = folders.rbegin(); it != folders.rend(); ++it) {
    ASSIGN_OR_RETURN(RootedTree::Parent source_dir, from.OpenParent(*it));
    ASSIGN_OR_RETURN(RootedTree::Parent target_dir, to.OpenParent(*it));
    struct stat st{};
    if (::fstatat(source_dir.dir.get(), source_dir.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus(errno, *it);
    }
    timespec times[2] = {st.st_atim, st.st_mtim};
    ::utimensat(target_dir.dir.get(), target_dir.name.c_str(), times, AT_SYMLINK_NOFOLLOW);
  }
  return CopyRootMetadata(source, target);
}

}  // namespace

Status CopyTree(const std::string& source, const std::string& target) {
  ASSIGN_OR_RETURN(RootedTree to, RootedTree::Open(target));
  CopyTarget copies{to.fd()};
  return MakeTree(source, target, to,
                  [&](const WalkEntry& entry, const RootedTree::Parent& parent,
                      const std::string& path) {
                    return CopyOne(entry.dir, entry.name, *entry.st, parent.dir.get(), path,
                                   copies);
                  });
}

Status LinkTree(const std::string& source, const std::string& target) {
  ASSIGN_OR_RETURN(RootedTree to, RootedTree::Open(target));
  CopyTarget copies{to.fd()};
  return MakeTree(
      source, target, to,
      [&](const WalkEntry& entry, const RootedTree::Parent& parent, const std::string& path) {
        if (IsWhiteout(*entry.st)) return OkStatus();
        if (S_ISDIR(entry.st->st_mode)) {
          return CopyOne(entry.dir, entry.name, *entry.st, parent.dir.get(), path, copies);
        }
        if (::linkat(entry.dir, entry.name.c_str(), parent.dir.get(), parent.name.c_str(), 0) == 0) {
          return OkStatus();
        }
        if (errno != EXDEV) return ErrnoStatus(errno, path);
        return CopyOne(entry.dir, entry.name, *entry.st, parent.dir.get(), path, copies);
      });
}

StatusOr<bool> HasWhiteouts(const std::string& tree) {
  ASSIGN_OR_RETURN(RootedTree root, RootedTree::Open(tree));
  bool found = false;
  RETURN_IF_ERROR(WalkTree(root.fd(), [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    found = found || IsWhiteout(*entry.st);
    return found ? WalkStep::kSkipDir : WalkStep::kContinue;
  }));
  return found;
}

Status ApplyChanges(const std::string& changes, const std::string& target) {
  ASSIGN_OR_RETURN(RootedTree from, RootedTree::Open(changes));
  ASSIGN_OR_RETURN(RootedTree to, RootedTree::Open(target));
  CopyTarget copies{to.fd()};
  std::vector<std::pair<std::string, struct stat>> folders;
  auto visit = [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    ASSIGN_OR_RETURN(RootedTree::Parent parent, to.OpenParent(entry.path));
    struct stat old{};
    bool exists =
        ::fstatat(parent.dir.get(), parent.name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0;
    bool both_dirs = exists && S_ISDIR(old.st_mode) && S_ISDIR(entry.st->st_mode);
    if (exists && (!both_dirs || IsOpaque(entry.dir, entry.name))) {
      RETURN_IF_ERROR(to.RemoveAll(entry.path));
    }
    if (IsWhiteout(*entry.st)) return WalkStep::kContinue;
    RETURN_IF_ERROR(
        CopyOne(entry.dir, entry.name, *entry.st, parent.dir.get(), entry.path, copies));
    if (S_ISDIR(entry.st->st_mode)) folders.emplace_back(entry.path, *entry.st);
    return WalkStep::kContinue;
  };
  RETURN_IF_ERROR(WalkTree(from.fd(), visit));
  for (auto it = folders.rbegin(); it != folders.rend(); ++it) {
    ASSIGN_OR_RETURN(RootedTree::Parent parent, to.OpenParent(it->first));
    timespec times[2] = {it->second.st_atim, it->second.st_mtim};
    ::utimensat(parent.dir.get(), parent.name.c_str(), times, AT_SYMLINK_NOFOLLOW);
  }
  return OkStatus();
}

}  // namespace kiln::cache
