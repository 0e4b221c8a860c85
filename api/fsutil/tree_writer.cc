// See tree_writer.h.
#include "api/fsutil/tree_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace kiln::api {
namespace {

timespec TimeOf(int64_t nanos) {
  int64_t seconds = nanos / 1'000'000'000;
  int64_t rest = nanos % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --seconds;
  }
  return {seconds, rest};
}

Status SetTimes(int dir, const std::string& name, int64_t nanos) {
  timespec times[2] = {TimeOf(nanos), TimeOf(nanos)};
  if (::utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, StrCat("lchtimes ", name));
  }
  return OkStatus();
}

// Attributes a file system refuses are left out, as in the reference.
void SetXattrs(int dir, const std::string& name, const FsStat& stat) {
  for (const auto& [key, value] : stat.xattrs) {
    WriteXattr(dir, name, key, value).IgnoreError();
  }
}

std::string TempName() { return StrCat(".tmp.", NewId()); }

// Renames over whatever is there; a folder in the way goes first.
Status RenameOver(int dir, const std::string& from, const std::string& to) {
  struct stat old{};
  bool was_dir = ::fstatat(dir, to.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(old.st_mode);
  if (was_dir) {
    StatusOr<RootedTree> here = RootedTree::Open(StrCat("/proc/self/fd/", dir));
    if (!here.ok()) return here.status();
    RETURN_IF_ERROR(here->RemoveAll(to));
  } else if (old.st_mode != 0) {
    struct stat made{};
    if (::fstatat(dir, from.c_str(), &made, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(made.st_mode)) {
      ::unlinkat(dir, to.c_str(), 0);
    }
  }
  if (::renameat(dir, from.c_str(), dir, to.c_str()) != 0) {
    return ErrnoStatus(errno, StrCat("failed to rename ", from, " to ", to));
  }
  // Two names of one file: rename does nothing and leaves the first.
  ::unlinkat(dir, from.c_str(), 0);
  return OkStatus();
}

}  // namespace

FileSink::~FileSink() {
  if (file_.valid()) ::unlinkat(dir_->get(), (temp_.empty() ? name_ : temp_).c_str(), 0);
}

StatusOr<ParentFolders::Place> ParentFolders::Of(const RootedTree& tree,
                                                 const std::string& path) {
  size_t slash = path.rfind('/');
  size_t start = slash == std::string::npos ? 0 : slash + 1;
  if (dir_ == nullptr || path.compare(0, start, path_) != 0) {
    ASSIGN_OR_RETURN(RootedTree::Parent parent, tree.OpenParent(path));
    dir_ = std::make_shared<UniqueFd>(std::move(parent.dir));
    path_ = path.substr(0, start);
  }
  return Place{dir_, path.substr(start)};
}

Status FileSink::Open(ParentFolders::Place place, const FsStat& stat) {
  dir_ = std::move(place.dir);
  name_ = std::move(place.name);
  constexpr int kFlags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC;
  file_ = UniqueFd(::openat(dir_->get(), name_.c_str(), kFlags, 0600));
  if (!file_.valid() && errno == EEXIST) {
    temp_ = TempName();
    file_ = UniqueFd(::openat(dir_->get(), temp_.c_str(), kFlags, 0600));
  }
  if (!file_.valid()) return ErrnoStatus(errno, StrCat("failed to create ", stat.path));
  return OkStatus();
}

Status FileSink::Write(std::string_view bytes) { return WriteAll(file_.get(), bytes); }

Status FileSink::Finish(const FsStat& stat) {
  const std::string& name = temp_.empty() ? name_ : temp_;
  if (::fchown(file_.get(), stat.uid, stat.gid) != 0) {
    return ErrnoStatus(errno, StrCat("error setting metadata for ", stat.path, ": lchown"));
  }
  if (::fchmod(file_.get(), PosixModeOf(stat.mode) & 07777) != 0) {
    return ErrnoStatus(errno, StrCat("error setting metadata for ", stat.path, ": chmod"));
  }
  SetXattrs(dir_->get(), name, stat);
  timespec times[2] = {TimeOf(stat.mod_time), TimeOf(stat.mod_time)};
  if (::futimens(file_.get(), times) != 0) {
    return ErrnoStatus(errno, StrCat("error setting metadata for ", stat.path, ": chtimes"));
  }
  if (!temp_.empty()) RETURN_IF_ERROR(RenameOver(dir_->get(), temp_, name_));
  file_.Reset();
  return OkStatus();
}

Status TreeWriter::MakeAt(const RootedTree::Parent& parent, const std::string& name,
                          const FsStat& stat) {
  int dir = parent.dir.get();
  if (stat.is_dir()) {
    if (::mkdirat(dir, name.c_str(), 0700) != 0) {
      return ErrnoStatus(errno, StrCat("failed to create dir ", stat.path));
    }
  } else if (stat.is_symlink()) {
    if (::symlinkat(stat.link_name.c_str(), dir, name.c_str()) != 0) {
      return ErrnoStatus(errno, StrCat("failed to symlink ", stat.path));
    }
  } else {
    mode_t mode = (PosixModeOf(stat.mode) & S_IFMT) | 0600;
    dev_t device = makedev(static_cast<unsigned>(stat.dev_major),
                           static_cast<unsigned>(stat.dev_minor));
    if (::mknodat(dir, name.c_str(), mode, device) != 0) {
      return ErrnoStatus(errno, StrCat("failed to create device ", stat.path));
    }
  }
  if (::fchownat(dir, name.c_str(), stat.uid, stat.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, StrCat("error setting metadata for ", stat.path, ": lchown"));
  }
  if (!stat.is_symlink() && !stat.is_dir() &&
      ::fchmodat(dir, name.c_str(), PosixModeOf(stat.mode) & 07777, 0) != 0) {
    return ErrnoStatus(errno, StrCat("error setting metadata for ", stat.path, ": chmod"));
  }
  SetXattrs(dir, name, stat);
  return SetTimes(dir, name, stat.mod_time);
}

Status TreeWriter::MakeFolder(const RootedTree::Parent& parent, const FsStat& stat) {
  int dir = parent.dir.get();
  if (::fchownat(dir, parent.name.c_str(), stat.uid, stat.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, StrCat("error setting dir metadata for ", stat.path, ": lchown"));
  }
  SetXattrs(dir, parent.name, stat);
  return OkStatus();
}

Status TreeWriter::MakeNode(const FsStat& stat) {
  ASSIGN_OR_RETURN(RootedTree::Parent parent, tree_.OpenParent(stat.path));
  if (stat.is_dir()) KeepFolder(stat);
  struct stat old{};
  if (::fstatat(parent.dir.get(), parent.name.c_str(), &old, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) return ErrnoStatus(errno, StrCat("lstat ", stat.path));
    return MakeAt(parent, parent.name, stat);
  }
  if (stat.is_dir() && S_ISDIR(old.st_mode)) return MakeFolder(parent, stat);
  std::string temp = TempName();
  RETURN_IF_ERROR(MakeAt(parent, temp, stat));
  return RenameOver(parent.dir.get(), temp, parent.name);
}

Status TreeWriter::MakeLink(const FsStat& stat) {
  ASSIGN_OR_RETURN(RootedTree::Parent from, tree_.OpenParent(stat.link_name));
  ASSIGN_OR_RETURN(RootedTree::Parent to, tree_.OpenParent(stat.path));
  auto link = [&](const std::string& name) {
    return ::linkat(from.dir.get(), from.name.c_str(), to.dir.get(), name.c_str(), 0) == 0;
  };
  if (link(to.name)) return OkStatus();
  if (errno == EEXIST) {
    std::string temp = TempName();
    if (link(temp)) return RenameOver(to.dir.get(), temp, to.name);
  }
  return ErrnoStatus(errno, StrCat("failed to link ", stat.path, " to ", stat.link_name));
}

Status TreeWriter::Remove(std::string_view path) {
  return Annotate(tree_.RemoveAll(path), StrCat("failed to remove: ", path));
}

Status TreeWriter::FinishFolders() {
  // Inner ones first: a mode without write or search must not shut the way.
  for (auto folder = folders_.rbegin(); folder != folders_.rend(); ++folder) {
    ASSIGN_OR_RETURN(RootedTree::Parent parent, tree_.OpenParent(folder->path));
    if (::fchmodat(parent.dir.get(), parent.name.c_str(), PosixModeOf(folder->mode) & 07777, 0) !=
        0) {
      return ErrnoStatus(errno, StrCat("error setting dir metadata for ", folder->path, ": chmod"));
    }
    RETURN_IF_ERROR(SetTimes(parent.dir.get(), parent.name, folder->mod_time));
  }
  return OkStatus();
}

}  // namespace kiln::api
