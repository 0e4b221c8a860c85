#include "worker/op/file/tree_copier.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/log.h"
#include "base/rooted.h"
#include "base/strings.h"
#include "cache/snapshot/tree_copy.h"

namespace kiln::worker {

// A folder on the way: open in the source, and in the target once something of it is kept.
struct TreeCopier::Dir {
  Dir* up = nullptr;
  int source_parent = -1;
  std::string source_name;
  struct stat st = {};
  std::string name;                  // in the target
  std::string path;                  // for error texts
  std::shared_ptr<UniqueFd> target;  // set once made
  bool fresh = false;                // made by us: nothing else is in it
  bool direct = false;               // `target` is the layer's own folder, not its mount
  bool late = false;                 // made for the sake of a child
};

struct TreeCopier::Entry {
  int source = -1;
  std::string from;
  std::string relative;  // to the top of the copy; "" is the top
  Dir* parent = nullptr;
  std::string to;
  std::string path;
  bool overwrite = false;  // attributes of a folder that exists are replaced
  bool fresh = false;      // a folder that is there already, and empty
  const Matches* parent_include = nullptr;
  const Matches* parent_exclude = nullptr;
  struct stat st = {};
  bool include = true;
  bool excluded = false;
  Matches include_match = {};
  Matches exclude_match = {};
};

namespace {

StatusOr<std::vector<std::string>> SortedNames(int dir) {
  UniqueFd own(::openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* stream = own.valid() ? ::fdopendir(own.get()) : nullptr;
  if (stream == nullptr) return ErrnoStatus(errno, "readdir");
  own.Release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

StatusOr<std::string> LinkText(int dir, const std::string& name) {
  char text[4097];
  ssize_t count = ::readlinkat(dir, name.c_str(), text, sizeof text - 1);
  if (count < 0) return ErrnoStatus(errno, StrCat("failed to read link: ", name));
  return std::string(text, static_cast<size_t>(count));
}

}  // namespace

StatusOr<TreeCopier> TreeCopier::Make(const CopyOptions& options, std::stop_token stop) {
  TreeCopier copier(options, std::move(stop));
  StatusOr<PatternList> include = PatternList::Compile(options.include);
  if (!include.ok()) return Annotate(include.status(), "invalid includepatterns");
  StatusOr<PatternList> exclude = PatternList::Compile(options.exclude);
  if (!exclude.ok()) return Annotate(exclude.status(), "invalid excludepatterns");
  copier.include_ = *std::move(include);
  copier.exclude_ = *std::move(exclude);
  return copier;
}

Status TreeCopier::Copy(int source, const std::string& from, int target, const std::string& to,
                        const std::string& path, bool fresh) {
  Dir top;
  top.direct = options_.layer != nullptr && options_.layer->plain;
  top.target = std::make_shared<UniqueFd>(::fcntl(target, F_DUPFD_CLOEXEC, 3));
  if (!top.target->valid()) return ErrnoStatus(errno, "dup");
  Entry entry;
  entry.source = source;
  entry.from = from;
  entry.parent = &top;
  entry.to = to;
  entry.path = path;
  entry.fresh = fresh;
  return CopyEntry(entry);
}

bool TreeCopier::Included(Entry& entry, bool* excluded) {
  static const Matches kTop;
  *excluded = false;
  if (entry.relative.empty()) return true;
  bool include = options_.include.empty() ||
                 include_.MatchesUsingParent(entry.relative,
                                             entry.parent_include ? *entry.parent_include : kTop,
                                             &entry.include_match);
  if (!options_.exclude.empty() &&
      exclude_.MatchesUsingParent(entry.relative,
                                  entry.parent_exclude ? *entry.parent_exclude : kTop,
                                  &entry.exclude_match)) {
    *excluded = true;
    include = false;
  }
  return include;
}

Status TreeCopier::CopyEntry(Entry& entry) {
  if (stop_.stop_requested()) return CancelledError("context canceled");
  entry.include = Included(entry, &entry.excluded);
  if (!entry.include && options_.include.empty() && !exclude_.has_exclusions()) {
    return OkStatus();
  }
  if (::fstatat(entry.source, entry.from.c_str(), &entry.st, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, StrCat("failed to stat ", entry.path));
  }
  if (S_ISDIR(entry.st.st_mode)) {
    return CopyDir(entry);
  }
  return entry.include ? CopyOther(entry) : OkStatus();
}

// Takes away what must not stay in the place of `entry`.
Status TreeCopier::ClearTarget(Entry& entry, bool* existed) {
  *existed = false;
  if (entry.parent->fresh) return OkStatus();
  struct stat st = {};
  const int dir = entry.parent->target->get();
  if (::fstatat(dir, entry.to.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? OkStatus() : ErrnoStatus(errno, StrCat("failed to stat ", entry.path));
  }
  const bool both_dirs = S_ISDIR(entry.st.st_mode) && S_ISDIR(st.st_mode);
  if (options_.replace_existing && !both_dirs) {
    ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(StrCat("/proc/self/fd/", dir)));
    return tree.RemoveAll(entry.to);
  }
  *existed = true;
  if (S_ISDIR(entry.st.st_mode)) return OkStatus();
  if (S_ISDIR(st.st_mode)) {
    return UnknownError(StrCat("cannot replace to directory ", entry.path, " with file"));
  }
  if (::unlinkat(dir, entry.to.c_str(), 0) != 0) {
    return ErrnoStatus(errno, StrCat("remove ", entry.path));
  }
  return OkStatus();
}

Status TreeCopier::CopyDir(Entry& entry) {
  Dir dir{entry.parent, entry.source, entry.from, entry.st, entry.to, entry.path, nullptr,
          entry.fresh};
  bool existed = false;
  bool created = false;
  if (entry.include) {
    RETURN_IF_ERROR(MakeParents(entry.parent));
    RETURN_IF_ERROR(ClearTarget(entry, &existed));
    RETURN_IF_ERROR(MakeDir(dir, entry.overwrite, &created));
  }
  if (!entry.excluded || exclude_.has_exclusions()) {
    RETURN_IF_ERROR(CopyChildren(entry, dir));
  }
  if (dir.target == nullptr) return OkStatus();
  const int target = dir.target->get();
  if (entry.include && (entry.overwrite || created)) {
    UniqueFd source(::openat(entry.source, entry.from.c_str(),
                             O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    return SetAttributes(entry, source.get(), target);
  }
  if (dir.late || existed) {
    timespec times[2] = {entry.st.st_atim, entry.st.st_mtim};
    if (options_.change.timestamp) {
      times[0] = times[1] = TimespecOf(*options_.change.timestamp);
    }
    return SetTimes(target, "", times, entry.path);
  }
  return OkStatus();
}

Status TreeCopier::CopyChildren(Entry& entry, Dir& dir) {
  UniqueFd source(::openat(entry.source, entry.from.c_str(),
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!source.valid()) return ErrnoStatus(errno, StrCat("failed to read ", entry.path));
  ASSIGN_OR_RETURN(std::vector<std::string> names, SortedNames(source.get()));
  for (std::string& name : names) {
    Entry child;
    child.source = source.get();
    child.from = name;
    child.relative = entry.relative.empty() ? name : StrCat(entry.relative, "/", name);
    child.parent = &dir;
    child.path = JoinPath(entry.path, name);
    child.to = std::move(name);
    child.overwrite = true;
    child.parent_include = &entry.include_match;
    child.parent_exclude = &entry.exclude_match;
    RETURN_IF_ERROR(CopyEntry(child));
  }
  return OkStatus();
}

Status TreeCopier::MakeDir(Dir& dir, bool overwrite, bool* created) {
  const int parent = dir.up->target->get();
  const mode_t mode = dir.st.st_mode & 07777;
  *created = ::mkdirat(parent, dir.name.c_str(), mode) == 0;
  if (!*created && errno != EEXIST) {
    return ErrnoStatus(errno, StrCat("failed to mkdir ", dir.path));
  }
  UniqueFd fd(::openat(parent, dir.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid() && (errno == ENOTDIR || errno == ELOOP)) {
    return UnknownError(StrCat("cannot copy to non-directory: ", dir.path));
  }
  if (!fd.valid()) return ErrnoStatus(errno, StrCat("open ", dir.path));
  if (!*created && overwrite && ::fchmod(fd.get(), mode) != 0) {
    return ErrnoStatus(errno, StrCat("failed to chmod on ", dir.path));
  }
  dir.fresh = dir.fresh || *created;
  dir.direct = dir.up->direct;
  if (dir.fresh && !dir.direct) GoBeneath(dir, fd);
  dir.target = std::make_shared<UniqueFd>(std::move(fd));
  return OkStatus();
}

// Takes the layer's own folder in place of the overlay's view of it, if they are the same.
void TreeCopier::GoBeneath(Dir& dir, UniqueFd& fd) const {
  if (options_.layer == nullptr || !options_.layer->upper) return;
  StatusOr<UniqueFd> own =
      options_.layer->upper->OpenAt(dir.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  struct stat seen = {};
  struct stat st = {};
  if (!own.ok() || ::fstat(fd.get(), &seen) != 0 || ::fstat(own->get(), &st) != 0) return;
  // A mark says that the layers below have such a folder, and may have the same files.
  if (seen.st_ino != st.st_ino || cache::IsOpaque(own->get(), ".")) return;
  fd = *std::move(own);
  dir.direct = true;
}

// Folders that no pattern named are made when something below them is kept.
Status TreeCopier::MakeParents(Dir* dir) {
  if (dir->target != nullptr) return OkStatus();
  RETURN_IF_ERROR(MakeParents(dir->up));
  bool created = false;
  RETURN_IF_ERROR(MakeDir(*dir, true, &created));
  if (!created) return OkStatus();
  dir->late = true;
  Entry entry;
  entry.source = dir->source_parent;
  entry.from = dir->source_name;
  entry.path = dir->path;
  entry.st = dir->st;
  UniqueFd source(::openat(dir->source_parent, dir->source_name.c_str(),
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  return SetAttributes(entry, source.get(), dir->target->get());
}

StatusOr<bool> TreeCopier::LinkToEarlier(Entry& entry) {
  if (entry.st.st_nlink < 2 || !S_ISREG(entry.st.st_mode)) return false;
  auto [first, is_new] =
      links_.try_emplace({entry.st.st_dev, entry.st.st_ino},
                         FirstName{entry.parent->target, entry.to});
  if (is_new) return false;
  if (::linkat(first->second.dir->get(), first->second.name.c_str(), entry.parent->target->get(),
               entry.to.c_str(), 0) != 0) {
    return ErrnoStatus(errno, StrCat("failed to create hard link: link ", entry.path));
  }
  return true;
}

// The file becomes another name of the source's, if nothing about it is to differ.
bool TreeCopier::Share(const Entry& entry) {
  LayerFolder* layer = options_.layer;
  if (layer == nullptr || !layer->share || !entry.parent->direct) return false;
  const struct stat& st = entry.st;
  const Owner owner = options_.change.owner.value_or(Owner{st.st_uid, st.st_gid});
  if (options_.change.timestamp || owner.uid != st.st_uid || owner.gid != st.st_gid ||
      ModeFor(st) != (st.st_mode & 07777)) {
    return false;
  }
  // Some attributes would be left out by a copy.
  auto xattrs = ReadXattrs(entry.source, entry.from);
  if (!xattrs.ok() || !xattrs->empty()) return false;
  auto [place, is_new] = layer->shared.emplace(st.st_dev, st.st_ino);
  if (!is_new) return false;
  if (::linkat(entry.source, entry.from.c_str(), entry.parent->target->get(), entry.to.c_str(),
               0) == 0) {
    return true;
  }
  layer->shared.erase(place);
  layer->share = errno == EMLINK;  // only this file has too many names
  return false;
}

Status TreeCopier::CopyOther(Entry& entry) {
  bool existed = false;
  RETURN_IF_ERROR(MakeParents(entry.parent));
  RETURN_IF_ERROR(ClearTarget(entry, &existed));
  const int dir = entry.parent->target->get();
  const mode_t type = entry.st.st_mode & S_IFMT;
  if (type == S_IFREG) {
    ASSIGN_OR_RETURN(bool linked, LinkToEarlier(entry));
    if (linked || Share(entry)) return OkStatus();
    UniqueFd source(::openat(entry.source, entry.from.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!source.valid()) {
      return ErrnoStatus(errno, StrCat("failed to copy files: failed to open source ", entry.path));
    }
    UniqueFd target(::openat(dir, entry.to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!target.valid()) {
      return ErrnoStatus(errno, StrCat("failed to copy files: failed to open target ", entry.path));
    }
    return CopyFile(entry, source.get(), target.get());
  }
  if (type == S_IFLNK) {
    ASSIGN_OR_RETURN(std::string text, LinkText(entry.source, entry.from));
    if (::symlinkat(text.c_str(), dir, entry.to.c_str()) != 0) {
      return ErrnoStatus(errno, StrCat("failed to create symlink: ", entry.path));
    }
  } else if (::mknodat(dir, entry.to.c_str(), entry.st.st_mode, entry.st.st_rdev) != 0) {
    return ErrnoStatus(errno, StrCat("failed to create device: mknod ", entry.path));
  }
  return SetAttributes(entry, -1, -1);
}

Status TreeCopier::CopyBytes(int from, int to, int64_t size) {
  int64_t done = 0;
  while (in_kernel_ && done < size) {
    ssize_t count = ::copy_file_range(from, nullptr, to, nullptr,
                                      static_cast<size_t>(std::min<int64_t>(size - done, 1 << 30)),
                                      0);
    // Not every pair of file systems has it; files that do not know their size give nothing.
    if (count < 0 && errno != EINTR) in_kernel_ = false;
    if (count <= 0) break;
    done += count;
  }
  if (size > 0 && done == size) return OkStatus();
  if (buffer_.empty()) buffer_.resize(128 << 10);
  for (;;) {
    ssize_t count = ::read(from, buffer_.data(), buffer_.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "userspace copy failed");
    if (count == 0) return OkStatus();
    RETURN_IF_ERROR(WriteAll(to, {buffer_.data(), static_cast<size_t>(count)}));
    done += count;
    if (done == size) return OkStatus();
  }
}

Status TreeCopier::CopyFile(Entry& entry, int source_fd, int target_fd) {
  Status copied = CopyBytes(source_fd, target_fd, entry.st.st_size);
  if (!copied.ok()) return Annotate(copied, "failed to copy files");
  return SetAttributes(entry, source_fd, target_fd);
}

uint32_t TreeCopier::ModeFor(const struct stat& st) const {
  if (options_.symbolic_mode) {
    return options_.symbolic_mode->Apply(st.st_mode & 07777, S_ISDIR(st.st_mode));
  }
  return options_.change.mode.value_or(st.st_mode & 07777) & 07777;
}

// Owner first (a change of it takes set-id bits and capabilities away), times last.
Status TreeCopier::SetAttributes(const Entry& entry, int source_fd, int target_fd) const {
  const Owner owner = options_.change.owner.value_or(Owner{entry.st.st_uid, entry.st.st_gid});
  timespec times[2] = {entry.st.st_atim, entry.st.st_mtim};
  if (options_.change.timestamp) {
    times[0] = times[1] = TimespecOf(*options_.change.timestamp);
  }
  if (target_fd >= 0) {
    if (::fchown(target_fd, owner.uid, owner.gid) != 0) {
      return ErrnoStatus(errno, StrCat("failed to copy file info: failed to chown ", entry.path));
    }
    if (::fchmod(target_fd, ModeFor(entry.st)) != 0) {
      return ErrnoStatus(errno, StrCat("failed to copy file info: failed to chmod ", entry.path));
    }
    CopyXattrs(entry, source_fd, target_fd);
    return ::futimens(target_fd, times) == 0
               ? OkStatus()
               : ErrnoStatus(errno, StrCat("failed to utime ", entry.path));
  }
  const int dir = entry.parent->target->get();
  RETURN_IF_ERROR(SetOwner(dir, entry.to, owner, entry.path));
  if (!S_ISLNK(entry.st.st_mode) && ::fchmodat(dir, entry.to.c_str(), ModeFor(entry.st), 0) != 0) {
    return ErrnoStatus(errno, StrCat("failed to copy file info: failed to chmod ", entry.path));
  }
  return SetTimes(dir, entry.to, times, entry.path);
}

// What the target does not take is left out with a line in the log, as the reference does.
void TreeCopier::CopyXattrs(const Entry& entry, int source_fd, int target_fd) {
  char list[4096];
  ssize_t size = ::flistxattr(source_fd, list, sizeof list);
  if (size == 0 || (size < 0 && errno != ERANGE)) return;
  std::string names(list, static_cast<size_t>(std::max<ssize_t>(size, 0)));
  if (size < 0) {
    names.resize(65536);
    size = ::flistxattr(source_fd, names.data(), names.size());
    names.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  }
  std::string value(65536, '\0');
  for (std::string_view name : StrSplit(names, '\0')) {
    // The snapshotter's own marks are no part of a file.
    if (name.empty() || name.starts_with("trusted.overlay.")) continue;
    std::string key(name);
    ssize_t length = ::fgetxattr(source_fd, key.c_str(), value.data(), value.size());
    if (length < 0 ||
        ::fsetxattr(target_fd, key.c_str(), value.data(), static_cast<size_t>(length), 0) != 0) {
      log::Debug(StrCat("xattr ", name, " of ", entry.path, ": ", ErrnoText(errno)));
    }
  }
}

}  // namespace kiln::worker
