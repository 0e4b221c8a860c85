// ApplyLayer: an archive of changes becomes a tree. Writing is layer_diff.cc.
//
// Every name is resolved by the kernel inside the tree (RootedTree), so the archive
// can hold what it likes; nothing here joins strings into a path of the host.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <unordered_set>
#include <utility>

#include "base/file.h"
#include "base/rooted.h"
#include "base/user_namespace.h"
#include "oci/layer.h"
#include "oci/tar.h"

namespace kiln::oci {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kXattr = "SCHILY.xattr.";

// The reference sets times before 1970, and those past 2262, to 1970.
timespec Bounded(TarTime time) {
  bool fits = time.seconds >= 0 && time.seconds < INT64_MAX / 1'000'000'000;
  return fits ? timespec{time.seconds, time.nanos} : timespec{0, 0};
}

struct Times {
  timespec pair[2];
};
Times TimesOf(const TarHeader& header) {
  TarTime access = header.atime ? std::max(*header.atime, header.mtime) : header.mtime;
  return {{Bounded(access), Bounded(header.mtime)}};
}

bool IsWhiteoutDevice(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

// Applies one layer. Used once, by one thread.
class Applier {
 public:
  Applier(RootedTree root, std::vector<RootedTree> parents, const ApplyOptions& options)
      : root_(std::move(root)), parents_(std::move(parents)), options_(options) {}

  Status Run(TarReader& reader);
  int64_t file_bytes() const { return file_bytes_; }
  bool missed_parents() const { return missed_parents_; }

 private:
  bool overlay() const { return options_.whiteouts == ApplyOptions::Whiteouts::kOverlay; }
  Status Entry(const TarHeader& header, TarReader& reader);
  Status EnterParent(std::string_view path);
  Status InheritFolder(int fd, const std::string& path);
  StatusOr<bool> Whiteout(const TarHeader& header, const std::string& name);
  Status MarkDeleted(const TarHeader& header, const std::string& name);
  Status MakeOpaque();
  Status RemoveUntouched(int dir);
  Status Remove(const std::string& name);
  Status Create(const TarHeader& header, const std::string& name, TarReader& reader);
  Status CreateFolder(const TarHeader& header, const std::string& name);
  Status WriteFile(const TarHeader& header, const std::string& name, TarReader& reader);
  Status Link(const TarHeader& header, const std::string& name);
  Status CopyBytes(int from, int to) const;
  Status CopyUp(std::string_view target, const std::string& name);
  Status SetMetadata(const TarHeader& header, const std::string& name);
  Status SetXattr(const std::string& name, const std::string& key, const std::string& value);
  void Touch(const std::string& name);
  Status Fail(int error, std::string_view what) const {
    return ErrnoStatus(error, StrCat(what, " ", path_));
  }

  RootedTree root_;
  std::vector<RootedTree> parents_;
  bool missed_parents_ = false;
  const ApplyOptions& options_;
  std::string path_;         // of the entry, clean, with a leading slash
  UniqueFd parent_;          // folder of the entry, kept while entries share it
  std::string parent_path_;
  std::vector<std::pair<std::string, Times>> folders_;  // times are set last
  std::unordered_set<ino_t> touched_;                   // made or merged by this layer
  int64_t file_bytes_ = 0;
};

Status Applier::Run(TarReader& reader) {
  for (;;) {
    if (options_.stop.stop_requested()) return CancelledError("context canceled");
    ASSIGN_OR_RETURN(std::optional<TarHeader> header, reader.Next());
    if (!header) break;
    RETURN_IF_ERROR(Entry(*header, reader));
  }
  for (const auto& [path, times] : folders_) {
    StatusOr<UniqueFd> fd = root_.OpenAt(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd.ok()) ::futimens(fd->get(), times.pair);  // gone again or replaced: no matter
  }
  return reader.Drain();
}

Status Applier::Entry(const TarHeader& header, TarReader& reader) {
  if (header.type == 'g') return OkStatus();
  if ((header.type == '3' || header.type == '4') && InUserNamespace()) return OkStatus();
  if (Contains(header.name, std::string_view("\0", 1))) {
    return InvalidArgumentError("invalid name in archive: NUL byte");
  }
  path_ = CleanPath(StrCat("/", header.name));
  if (path_ == "/") return OkStatus();
  std::string name = BaseName(path_);
  RETURN_IF_ERROR(EnterParent(DirName(path_)));
  ASSIGN_OR_RETURN(bool done, Whiteout(header, name));
  if (done) return OkStatus();
  RETURN_IF_ERROR(Create(header, name, reader));
  if (header.type == '5') folders_.emplace_back(path_, TimesOf(header));
  if (!overlay()) Touch(name);
  return OkStatus();
}

// Opens the folder at `path`, making what is missing.
Status Applier::EnterParent(std::string_view path) {
  if (parent_.valid() && parent_path_ == path) return OkStatus();
  StatusOr<UniqueFd> fd = root_.OpenAt(path, O_RDONLY | O_DIRECTORY);
  if (!fd.ok() && IsNotFound(fd.status())) {
    RETURN_IF_ERROR(root_.MakeDirs(path, 0755, [this](int made, const std::string& where) {
      return InheritFolder(made, where);
    }));
    fd = root_.OpenAt(path, O_RDONLY | O_DIRECTORY);
  }
  if (!fd.ok()) return Annotate(fd.status(), "mkparent");
  parent_ = *std::move(fd);
  parent_path_ = path;
  return OkStatus();
}

// A folder that the archive does not hold looks as it does in the layers below.
Status Applier::InheritFolder(int fd, const std::string& path) {
  struct stat own{};
  if (!overlay() && ::fstat(fd, &own) == 0) touched_.insert(own.st_ino);
  missed_parents_ = missed_parents_ || (overlay() && parents_.empty());
  for (const RootedTree& parent : parents_) {
    StatusOr<UniqueFd> lower = parent.OpenAt(path, O_PATH | O_DIRECTORY);
    if (!lower.ok()) {
      if (IsNotFound(lower.status())) continue;
      return OkStatus();  // a file or device: replaced, nothing to take over
    }
    struct stat st{};
    if (::fstat(lower->get(), &st) != 0 || !S_ISDIR(st.st_mode)) return OkStatus();
    if (::fchown(fd, st.st_uid, st.st_gid) != 0) return ErrnoStatus(errno, StrCat("chown ", path));
    if (::fchmod(fd, st.st_mode & 07777) != 0) return ErrnoStatus(errno, StrCat("chmod ", path));
    folders_.emplace_back(path, Times{{st.st_atim, st.st_mtim}});
    ASSIGN_OR_RETURN(auto attributes, ReadXattrs(lower->get(), "."));
    for (const auto& [key, value] : attributes) {
      if (key.starts_with("trusted.")) continue;
      RETURN_IF_ERROR(WriteXattr(fd, ".", key, value));
    }
    return OkStatus();
  }
  return OkStatus();
}

// True if the entry was a whiteout and is done with.
StatusOr<bool> Applier::Whiteout(const TarHeader& header, const std::string& name) {
  if (!name.starts_with(kWhiteout)) return false;
  if (name == kOpaque) {
    RETURN_IF_ERROR(overlay() ? MakeOpaque() : RemoveUntouched(parent_.get()));
    return true;
  }
  std::string hidden = name.substr(kWhiteout.size());
  if (hidden.empty() || hidden == "." || hidden == "..") {
    return InvalidArgumentError(StrCat("invalid whiteout name: ", name, ": invalid archive"));
  }
  RETURN_IF_ERROR(overlay() ? MarkDeleted(header, hidden) : Remove(hidden));
  return true;
}

Status Applier::MarkDeleted(const TarHeader& header, const std::string& name) {
  if (::mknodat(parent_.get(), name.c_str(), S_IFCHR, 0) != 0) {
    if (errno != EEXIST) return Fail(errno, "mknod");
    // Whiteouts hide lower layers only: what this layer brought stays, over nothing.
    UniqueFd dir(::openat(parent_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (!dir.valid()) return OkStatus();
    return WriteXattr(parent_.get(), name,
                      options_.user_xattr ? "user.overlay.opaque" : "trusted.overlay.opaque", "y");
  }
  if (::fchownat(parent_.get(), name.c_str(), static_cast<uid_t>(header.uid),
                 static_cast<gid_t>(header.gid), AT_SYMLINK_NOFOLLOW) != 0) {
    return Fail(errno, "chown");
  }
  return OkStatus();
}

Status Applier::MakeOpaque() {
  return Annotate(WriteXattr(parent_.get(), ".", options_.user_xattr ? "user.overlay.opaque"
                                                                     : "trusted.overlay.opaque",
                             "y"),
                  StrCat("failed to convert whiteout file ", Quote(path_.substr(1))));
}

// Removes what lower layers left in `dir`, and keeps what this layer put there.
Status Applier::RemoveUntouched(int dir) {
  std::vector<std::string> doomed;
  RETURN_IF_ERROR(WalkTree(dir, [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    if (touched_.contains(entry.st->st_ino)) return WalkStep::kContinue;
    doomed.push_back(entry.path);
    return WalkStep::kSkipDir;
  }));
  ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(FdPath(dir, ".")));
  for (const std::string& path : doomed) RETURN_IF_ERROR(tree.RemoveAll(path));
  return OkStatus();
}

Status Applier::Remove(const std::string& name) {
  if (::unlinkat(parent_.get(), name.c_str(), 0) == 0 || errno == ENOENT) return OkStatus();
  ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(FdPath(parent_.get(), ".")));
  return tree.RemoveAll(name);
}

Status Applier::Create(const TarHeader& header, const std::string& name, TarReader& reader) {
  if (header.type == '5') {
    RETURN_IF_ERROR(CreateFolder(header, name));
    return SetMetadata(header, name);
  }
  auto mode = static_cast<mode_t>(header.mode & 07777);
  int rc = 0;
  switch (header.type) {
    case '0':
      RETURN_IF_ERROR(WriteFile(header, name, reader));
      break;
    case '1':
      RETURN_IF_ERROR(Link(header, name));
      break;
    case '2':
      RETURN_IF_ERROR(Remove(name));
      rc = ::symlinkat(header.link_name.c_str(), parent_.get(), name.c_str());
      break;
    case '3':
    case '4':
    case '6': {
      RETURN_IF_ERROR(Remove(name));
      mode_t kind = header.type == '3' ? S_IFCHR : header.type == '4' ? S_IFBLK : S_IFIFO;
      dev_t device = ::makedev(static_cast<unsigned>(header.dev_major),
                               static_cast<unsigned>(header.dev_minor));
      rc = ::mknodat(parent_.get(), name.c_str(), mode | kind, device);
      break;
    }
    default:
      return InvalidArgumentError(
          StrCat("unhandled tar header type ", static_cast<int>(header.type)));
  }
  if (rc != 0) return Fail(errno, header.type == '2' ? "symlink" : "mknod");
  return SetMetadata(header, name);
}

Status Applier::CreateFolder(const TarHeader& header, const std::string& name) {
  auto mode = static_cast<mode_t>(header.mode & 07777);
  if (::mkdirat(parent_.get(), name.c_str(), mode) == 0) return OkStatus();
  if (errno != EEXIST) return Fail(errno, "mkdir");
  struct stat st{};
  if (::fstatat(parent_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return Fail(errno, "lstat");
  }
  if (S_ISDIR(st.st_mode)) return OkStatus();
  RETURN_IF_ERROR(Remove(name));
  if (::mkdirat(parent_.get(), name.c_str(), mode) != 0) return Fail(errno, "mkdir");
  // Deleted and made again in one layer: nothing of the old folder shows through.
  if (!overlay() || !IsWhiteoutDevice(st)) return OkStatus();
  return WriteXattr(parent_.get(), name,
                    options_.user_xattr ? "user.overlay.opaque" : "trusted.overlay.opaque", "y");
}

Status Applier::WriteFile(const TarHeader& header, const std::string& name, TarReader& reader) {
  auto mode = static_cast<mode_t>(header.mode & 07777);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd file(::openat(parent_.get(), name.c_str(), kFlags, mode));
  if (!file.valid() && errno == EEXIST) {
    RETURN_IF_ERROR(Remove(name));
    file = UniqueFd(::openat(parent_.get(), name.c_str(), kFlags, mode));
  }
  if (!file.valid()) return Fail(errno, "open");
  int64_t size = 0;
  bool ends_in_hole = false;
  for (;;) {
    ASSIGN_OR_RETURN(TarReader::Chunk chunk, reader.ReadChunk());
    if (chunk.hole == 0 && chunk.data.empty()) break;
    if (chunk.hole > 0) {
      if (::lseek(file.get(), chunk.hole, SEEK_CUR) < 0) return Fail(errno, "seek");
    } else {
      RETURN_IF_ERROR(Annotate(WriteAll(file.get(), chunk.data), StrCat("write ", path_)));
    }
    ends_in_hole = chunk.hole > 0;
    size += chunk.hole + static_cast<int64_t>(chunk.data.size());
    if (options_.stop.stop_requested()) return CancelledError("context canceled");
  }
  if (ends_in_hole && ::ftruncate(file.get(), size) != 0) return Fail(errno, "truncate");
  file_bytes_ += header.size;
  return OkStatus();
}

Status Applier::Link(const TarHeader& header, const std::string& name) {
  if (Contains(header.link_name, std::string_view("\0", 1))) {
    return InvalidArgumentError("invalid link in archive: NUL byte");
  }
  StatusOr<RootedTree::Parent> target = root_.OpenParent(header.link_name);
  struct stat there{}, here{};
  bool exists = target.ok() && ::fstatat(target->dir.get(), target->name.c_str(), &there,
                                         AT_SYMLINK_NOFOLLOW) == 0;
  if (exists && ::fstatat(parent_.get(), name.c_str(), &here, AT_SYMLINK_NOFOLLOW) == 0 &&
      there.st_ino == here.st_ino) {
    return OkStatus();  // a link to itself
  }
  RETURN_IF_ERROR(Remove(name));
  if (!exists && overlay()) {
    Status copied = CopyUp(header.link_name, name);
    if (copied.ok() || !IsNotFound(copied)) return copied;
  }
  if (!target.ok()) return target.status();
  if (::linkat(target->dir.get(), target->name.c_str(), parent_.get(), name.c_str(), 0) != 0) {
    return ErrnoStatus(errno, StrCat("link ", header.link_name, " ", path_));
  }
  return OkStatus();
}

Status Applier::CopyBytes(int from, int to) const {
  std::string buffer;
  for (;;) {
    ssize_t count = ::copy_file_range(from, nullptr, to, nullptr, 1 << 30, 0);
    if (count < 0 && (errno == EXDEV || errno == EOPNOTSUPP)) {  // a layer that is used from afar
      buffer.resize(1 << 20);
      count = ::read(from, buffer.data(), buffer.size());
      if (count > 0) {
        RETURN_IF_ERROR(WriteAll(to, std::string_view(buffer).substr(0, static_cast<size_t>(count))));
      }
    }
    if (count < 0) return Fail(errno, "copy");
    if (count == 0) return OkStatus();
  }
}

// The target is a file of a lower layer: its copy takes the new name, and the old one is
// linked to it, as overlayfs does it for link(2).
Status Applier::CopyUp(std::string_view target, const std::string& name) {
  for (const RootedTree& lower : parents_) {
    StatusOr<struct stat> st = lower.Lstat(target);
    if (!st.ok()) continue;
    if (IsWhiteoutDevice(*st)) break;
    if (S_ISLNK(st->st_mode)) {
      ASSIGN_OR_RETURN(std::string text, lower.ReadLink(target));
      return ::symlinkat(text.c_str(), parent_.get(), name.c_str()) == 0 ? OkStatus()
                                                                         : Fail(errno, "symlink");
    }
    if (!S_ISREG(st->st_mode)) break;
    ASSIGN_OR_RETURN(UniqueFd from, lower.OpenAt(target, O_RDONLY | O_NOFOLLOW));
    UniqueFd to(::openat(parent_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                         st->st_mode & 07777));
    if (!to.valid()) return Fail(errno, "open");
    RETURN_IF_ERROR(CopyBytes(from.get(), to.get()));
    file_bytes_ += st->st_size;
    return OkStatus();
  }
  return NotFoundError(StrCat("link ", target, " ", path_, ": no such file or directory"));
}

Status Applier::SetXattr(const std::string& name, const std::string& key,
                         const std::string& value) {
  if (key.starts_with("trusted.")) return OkStatus();  // marks of overlayfs are ours to set
  std::string at = FdPath(parent_.get(), name);
  if (::lsetxattr(at.c_str(), key.c_str(), value.data(), value.size(), 0) == 0) return OkStatus();
  int error = errno;
  if (error == ENOTSUP) return OkStatus();
  struct stat st{};
  if (error == EPERM && key.starts_with("user.") &&
      ::fstatat(parent_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
      !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
    return OkStatus();  // only files and folders may have them
  }
  return ErrnoStatus(error, StrCat("failed to setxattr ", Quote(path_), " for key ", Quote(key)));
}

Status Applier::SetMetadata(const TarHeader& header, const std::string& name) {
  int dir = parent_.get();
  if (::fchownat(dir, name.c_str(), static_cast<uid_t>(header.uid),
                 static_cast<gid_t>(header.gid), AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, StrCat("failed to Lchown ", Quote(path_), " for UID ", header.uid,
                                     ", GID ", header.gid));
  }
  for (const auto& [key, value] : header.pax) {
    if (key.starts_with(kXattr)) {
      RETURN_IF_ERROR(SetXattr(name, key.substr(kXattr.size()), value));
    }
  }
  // After chown, which clears setuid. A hard link may be one to a symlink.
  struct stat st{};
  bool may_be_link = header.type == '1' || header.type == '2';
  if (may_be_link && ::fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return Fail(errno, "lstat");
  }
  if (!S_ISLNK(st.st_mode) &&
      ::fchmodat(dir, name.c_str(), static_cast<mode_t>(header.mode & 07777), 0) != 0) {
    return Fail(errno, "chmod");
  }
  if (::utimensat(dir, name.c_str(), TimesOf(header).pair, AT_SYMLINK_NOFOLLOW) != 0) {
    return Fail(errno, "chtimes");
  }
  return OkStatus();
}

void Applier::Touch(const std::string& name) {
  struct stat st{};
  if (::fstatat(parent_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
    touched_.insert(st.st_ino);
  }
}

}  // namespace

StatusOr<AppliedLayer> ApplyLayer(const ReadFn& tar, const std::string& dir,
                                  const ApplyOptions& options) {
  ASSIGN_OR_RETURN(RootedTree root, RootedTree::Open(dir));
  std::vector<RootedTree> parents;
  for (const std::string& parent : options.parents) {
    ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(parent));
    parents.push_back(std::move(tree));
  }
  AppliedLayer applied;
  Sha256 hash;
  TarReader reader([&](std::span<char> buffer) -> StatusOr<size_t> {
    ASSIGN_OR_RETURN(size_t count, tar(buffer));
    hash.Update(std::string_view(buffer.data(), count));
    applied.tar_bytes += static_cast<int64_t>(count);
    return count;
  });
  Applier applier(std::move(root), std::move(parents), options);
  RETURN_IF_ERROR(applier.Run(reader));
  applied.diff_id = DiffId{hash.Finish()};
  applied.file_bytes = applier.file_bytes();
  applied.missed_parents = applier.missed_parents();
  return applied;
}

}  // namespace kiln::oci
