#include "cache/snapshot/upper_dir.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/file.h"
#include "base/rooted.h"
#include "base/strings.h"
#include "cache/snapshot/tree_copy.h"

namespace kiln::cache {
namespace {

// The lower folders as one tree, opened when first asked for.
class LowerStack {
 public:
  explicit LowerStack(std::span<const std::string> lowers) : lowers_(lowers), open_(lowers.size()) {}

  // Names in the folder at `path` of the whole tree; nothing if no folder is there.
  StatusOr<std::optional<std::set<std::string>>> List(const std::string& path) {
    std::map<std::string, bool> names;  // false: hidden by a nearer layer
    bool found = false;
    for (size_t i = 0; i < lowers_.size(); ++i) {
      ASSIGN_OR_RETURN(RootedTree* layer, Layer(i));
      bool last = false;
      UniqueFd dir = DirIn(*layer, path, &last);
      if (dir.valid()) {
        found = true;
        RETURN_IF_ERROR(Collect(dir.get(), &names));
      }
      if (last) break;
    }
    if (!found) return std::optional<std::set<std::string>>();
    std::set<std::string> present;
    for (const auto& [name, shown] : names) {
      if (shown) present.insert(name);
    }
    return std::optional(std::move(present));
  }

  // What is at `path` of the whole tree, in the layer that shows it.
  struct Entry {
    std::shared_ptr<UniqueFd> dir;  // null: nothing is there
    struct stat st{};
  };
  StatusOr<Entry> Find(const std::string& path) {
    if (path.find('/') == std::string::npos) return FindAtTop(path);
    size_t slash = path.rfind('/');
    RETURN_IF_ERROR(OpenFolders(path.substr(0, slash)));
    const std::string name(path.substr(slash + 1));
    for (const std::shared_ptr<UniqueFd>& dir : folders_) {
      Entry entry;
      if (::fstatat(dir->get(), name.c_str(), &entry.st, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (IsWhiteout(entry.st)) break;
      entry.dir = dir;
      return entry;
    }
    return Entry();
  }

 private:
  // Most layers of a long stack do not have the name: they are not even opened.
  StatusOr<Entry> FindAtTop(const std::string& name) {
    for (size_t i = 0; i < lowers_.size(); ++i) {
      Entry entry;
      const std::string path = JoinPath(lowers_[i], name);
      if (::lstat(path.c_str(), &entry.st) != 0) continue;
      if (IsWhiteout(entry.st)) break;
      ASSIGN_OR_RETURN(UniqueFd dir, OpenFile(lowers_[i], O_RDONLY | O_DIRECTORY));
      entry.dir = std::make_shared<UniqueFd>(std::move(dir));
      return entry;
    }
    return Entry();
  }

  // Those of the layers that show something at `path`, which most often is as before.
  Status OpenFolders(std::string path) {
    if (path == folder_) return OkStatus();
    folders_.clear();
    folder_ = std::move(path);
    const std::string first = folder_.substr(0, folder_.find('/'));
    for (size_t i = 0; i < lowers_.size(); ++i) {
      struct stat st{};
      if (::lstat(JoinPath(lowers_[i], first).c_str(), &st) != 0) continue;
      ASSIGN_OR_RETURN(RootedTree* layer, Layer(i));
      bool last = false;
      UniqueFd dir = DirIn(*layer, folder_, &last);
      if (dir.valid()) folders_.push_back(std::make_shared<UniqueFd>(std::move(dir)));
      if (last) break;
    }
    return OkStatus();
  }

  StatusOr<RootedTree*> Layer(size_t i) {
    if (!open_[i]) {
      ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(lowers_[i]));
      open_[i].emplace(std::move(tree));
    }
    return &*open_[i];
  }

  // The folder in one layer, if it has it. `last`: layers further down do not count.
  static UniqueFd DirIn(const RootedTree& layer, const std::string& path, bool* last) {
    UniqueFd dir(::openat(layer.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (path == ".") return dir;
    for (std::string_view part : StrSplit(path, '/')) {
      std::string name(part);
      struct stat st{};
      if (::fstatat(dir.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return UniqueFd();
      if (!S_ISDIR(st.st_mode)) {  // a whiteout, or a file in its place
        *last = true;
        return UniqueFd();
      }
      *last = *last || IsOpaque(dir.get(), name);
      dir = UniqueFd(::openat(dir.get(), name.c_str(),
                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!dir.valid()) return UniqueFd();
    }
    return dir;
  }

  static Status Collect(int dir, std::map<std::string, bool>* names) {
    return WalkTree(dir, [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
      names->try_emplace(entry.name, !IsWhiteout(*entry.st));
      return WalkStep::kSkipDir;
    });
  }

  std::span<const std::string> lowers_;
  std::vector<std::optional<RootedTree>> open_;  // those that were needed
  std::string folder_;
  std::vector<std::shared_ptr<UniqueFd>> folders_;
};

// Takes the opaque mark off a folder. What it hid of `below` is hidden name by name,
// and so are, further down, folders that are in both.
class Unmarking {
 public:
  explicit Unmarking(LowerStack& lowers) : lowers_(lowers) {}

  Status Visit(const WalkEntry& entry) {
    bool marked = IsOpaque(entry.dir, entry.name);
    if (!marked && !inside_.contains(DirName(entry.path))) return OkStatus();
    ASSIGN_OR_RETURN(auto below, lowers_.List(entry.path));
    if (below) {
      Status hidden = Hide(entry, *below);
      // Without the right to make devices the mark stays: the tree is the same with it.
      if (!hidden.ok() && marked) return OkStatus();
      RETURN_IF_ERROR(hidden);
      inside_.insert(entry.path);
    }
    if (!marked) return OkStatus();
    std::string path = FdPath(entry.dir, entry.name);
    ::lremovexattr(path.c_str(), "trusted.overlay.opaque");
    ::lremovexattr(path.c_str(), "user.overlay.opaque");
    return OkStatus();
  }

 private:
  static Status Hide(const WalkEntry& entry, const std::set<std::string>& below) {
    UniqueFd dir(::openat(entry.dir, entry.name.c_str(),
                          O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir.valid()) return ErrnoStatus(errno, entry.path);
    bool changed = false;
    for (const std::string& name : below) {
      struct stat st{};
      if (::fstatat(dir.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) continue;
      if (::mknodat(dir.get(), name.c_str(), S_IFCHR, 0) != 0) {
        return ErrnoStatus(errno, entry.path);
      }
      changed = true;
    }
    if (!changed) return OkStatus();
    const timespec times[2] = {entry.st->st_atim, entry.st->st_mtim};
    return ::futimens(dir.get(), times) == 0 ? OkStatus() : ErrnoStatus(errno, entry.path);
  }

  LowerStack& lowers_;
  std::set<std::string> inside_;  // folders that are taken whole from the upper one
};

std::map<std::string, std::string> OwnXattrs(std::map<std::string, std::string> all) {
  std::erase_if(all, [](const auto& entry) { return Contains(entry.first, ".overlay."); });
  return all;
}

StatusOr<std::string> Bytes(int dir, const std::string& name, off_t offset) {
  UniqueFd file(::openat(dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, name);
  std::string bytes(1 << 20, '\0');
  ssize_t count = ::pread(file.get(), bytes.data(), bytes.size(), offset);
  if (count < 0) return ErrnoStatus(errno, name);
  bytes.resize(static_cast<size_t>(count));
  return bytes;
}

StatusOr<std::string> LinkText(int dir, const std::string& name) {
  std::string text(PATH_MAX, '\0');
  ssize_t count = ::readlinkat(dir, name.c_str(), text.data(), text.size());
  if (count < 0) return ErrnoStatus(errno, name);
  text.resize(static_cast<size_t>(count));
  return text;
}

// Whether nothing tells the two apart; of folders, without their times and contents.
StatusOr<bool> IsSame(const LowerStack::Entry& below, int dir, const std::string& name,
                      const struct stat& st) {
  const struct stat& other = below.st;
  if (st.st_mode != other.st_mode || st.st_uid != other.st_uid || st.st_gid != other.st_gid ||
      st.st_rdev != other.st_rdev) {
    return false;
  }
  bool folder = S_ISDIR(st.st_mode);
  if (!folder && (st.st_size != other.st_size || st.st_mtim.tv_sec != other.st_mtim.tv_sec ||
                  st.st_mtim.tv_nsec != other.st_mtim.tv_nsec)) {
    return false;
  }
  ASSIGN_OR_RETURN(auto xattrs, ReadXattrs(dir, name));
  ASSIGN_OR_RETURN(auto other_xattrs, ReadXattrs(below.dir->get(), name));
  if (OwnXattrs(xattrs) != OwnXattrs(other_xattrs)) return false;
  if (S_ISLNK(st.st_mode)) {
    ASSIGN_OR_RETURN(std::string text, LinkText(dir, name));
    ASSIGN_OR_RETURN(std::string other_text, LinkText(below.dir->get(), name));
    return text == other_text;
  }
  for (off_t at = 0; S_ISREG(st.st_mode) && at < st.st_size;) {
    ASSIGN_OR_RETURN(std::string bytes, Bytes(dir, name, at));
    ASSIGN_OR_RETURN(std::string other_bytes, Bytes(below.dir->get(), name, at));
    if (bytes.empty() || bytes != other_bytes) return false;
    at += static_cast<off_t>(bytes.size());
  }
  return true;
}

// Removes what the kernel copied up and the lower folders have just so: it is no change,
// and would be one where the layer is merged onto another stack.
class Pruning {
 public:
  Pruning(LowerStack& lowers, const RootedTree& upper, const struct stat& root)
      : lowers_(lowers), upper_(upper), born_(BirthOf(upper.fd())) {
    times_["."] = {root.st_atim, root.st_mtim};
  }
  int64_t bytes() const { return bytes_; }  // that were freed

  Status Visit(const WalkEntry& entry) {
    const struct stat& st = *entry.st;
    if (S_ISDIR(st.st_mode)) {
      folders_.push_back(entry.path);
      times_[entry.path] = {st.st_atim, st.st_mtim};
      return OkStatus();
    }
    // Of several links some may be new: they go together.
    if (st.st_nlink > 1 || IsWhiteout(st)) return OkStatus();
    return Remove(entry.dir, entry.name, entry.path, st, 0);
  }

  // After the walk: folders from the bottom up, then the times of what was touched.
  Status Finish() {
    for (auto path = folders_.rbegin(); path != folders_.rend(); ++path) {
      ASSIGN_OR_RETURN(RootedTree::Parent parent, upper_.OpenParent(*path));
      struct stat st{};
      if (::fstatat(parent.dir.get(), parent.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return ErrnoStatus(errno, *path);
      }
      ASSIGN_OR_RETURN(bool dated, WasDated(*path));
      if (dated) continue;
      RETURN_IF_ERROR(Remove(parent.dir.get(), parent.name, *path, st, AT_REMOVEDIR));
    }
    for (const std::string& path : touched_) {
      auto dir = upper_.OpenAt(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (!dir.ok()) continue;  // gone itself
      if (::futimens(dir->get(), times_[path].data()) != 0) return ErrnoStatus(errno, path);
    }
    return OkStatus();
  }

 private:
  // When the folder was made, by the clock of its file system; long ago if it does not say.
  static timespec BirthOf(int fd) {
    struct statx st{};
    const bool known = ::statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &st) == 0 &&
                       (st.stx_mask & STATX_BTIME) != 0;
    if (!known) return {0, 0};
    return {static_cast<time_t>(st.stx_btime.tv_sec), static_cast<long>(st.stx_btime.tv_nsec)};
  }

  // Whether somebody gave the folder a time. One that only saw names come and go has a time
  // since the upper folder was made, and is no change.
  StatusOr<bool> WasDated(const std::string& path) {
    const timespec& mine = times_[path][1];
    const bool since = mine.tv_sec > born_.tv_sec ||
                       (mine.tv_sec == born_.tv_sec && mine.tv_nsec >= born_.tv_nsec);
    if (since) return false;
    ASSIGN_OR_RETURN(LowerStack::Entry below, lowers_.Find(path));
    return below.dir != nullptr && (below.st.st_mtim.tv_sec != mine.tv_sec ||
                                 below.st.st_mtim.tv_nsec != mine.tv_nsec);
  }

  Status Remove(int dir, const std::string& name, const std::string& path, const struct stat& st,
                int flags) {
    ASSIGN_OR_RETURN(LowerStack::Entry below, lowers_.Find(path));
    if (below.dir == nullptr) return OkStatus();
    ASSIGN_OR_RETURN(bool same, IsSame(below, dir, name, st));
    if (!same) return OkStatus();
    if (::unlinkat(dir, name.c_str(), flags) != 0) {
      bool has_changes = errno == ENOTEMPTY || errno == EEXIST;
      return has_changes ? OkStatus() : ErrnoStatus(errno, path);
    }
    bytes_ += int64_t{st.st_blocks} * 512;
    touched_.insert(DirName(path));
    return OkStatus();
  }

  LowerStack& lowers_;
  const RootedTree& upper_;
  timespec born_;
  int64_t bytes_ = 0;
  std::vector<std::string> folders_;  // parents first
  std::map<std::string, std::array<timespec, 2>> times_;
  std::set<std::string> touched_;
};

}  // namespace

StatusOr<DiskUsage> SettleUpper(const std::string& upper, std::span<const std::string> lowers) {
  ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(upper));
  struct stat root{};
  if (::fstat(tree.fd(), &root) != 0) return ErrnoStatus(errno, upper);
  DiskUsageSum sum;
  sum.Add(root);
  LowerStack stack(lowers);
  Unmarking unmarking(stack);
  Pruning pruning(stack, tree, root);
  auto visit = [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    const struct stat& st = *entry.st;
    bool dir = S_ISDIR(st.st_mode);
    sum.Add(st);
    if (dir) RETURN_IF_ERROR(unmarking.Visit(entry));
    if (!lowers.empty()) RETURN_IF_ERROR(pruning.Visit(entry));
    return WalkStep::kContinue;
  };
  RETURN_IF_ERROR(WalkTree(tree.fd(), visit));
  RETURN_IF_ERROR(pruning.Finish());
  DiskUsage usage = sum.Total();  // only files of one name and folders were freed
  usage.bytes -= pruning.bytes();
  usage.own -= pruning.bytes();
  return usage;
}

}  // namespace kiln::cache
