#include "cache/snapshot/upper_dir.h"

#include <fcntl.h>
#include <sys/xattr.h>

#include <cerrno>
#include <map>
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
  explicit LowerStack(std::span<const std::string> lowers) : lowers_(lowers) {}

  // Names in the folder at `path` of the whole tree; nothing if no folder is there.
  StatusOr<std::optional<std::set<std::string>>> List(const std::string& path) {
    std::map<std::string, bool> names;  // false: hidden by a nearer layer
    bool found = false;
    for (size_t i = 0; i < lowers_.size(); ++i) {
      if (i == open_.size()) {
        ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(lowers_[i]));
        open_.push_back(std::move(tree));
      }
      bool last = false;
      UniqueFd dir = DirIn(open_[i], path, &last);
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

 private:
  // The folder in one layer, if it has it. `last`: layers further down do not count.
  static UniqueFd DirIn(const RootedTree& layer, const std::string& path, bool* last) {
    UniqueFd dir(::fcntl(layer.fd(), F_DUPFD_CLOEXEC, 0));
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
  std::vector<RootedTree> open_;
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

}  // namespace

StatusOr<int64_t> SettleUpper(const std::string& upper, std::span<const std::string> lowers) {
  ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(upper));
  struct stat root{};
  if (::fstat(tree.fd(), &root) != 0) return ErrnoStatus(errno, upper);
  int64_t bytes = int64_t{root.st_blocks} * 512;
  LowerStack stack(lowers);
  Unmarking unmarking(stack);
  std::set<std::pair<dev_t, ino_t>> linked;
  auto visit = [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    const struct stat& st = *entry.st;
    bool dir = S_ISDIR(st.st_mode);
    if (dir || st.st_nlink < 2 || linked.emplace(st.st_dev, st.st_ino).second) {
      bytes += int64_t{st.st_blocks} * 512;
    }
    if (dir) RETURN_IF_ERROR(unmarking.Visit(entry));
    return WalkStep::kContinue;
  };
  RETURN_IF_ERROR(WalkTree(tree.fd(), visit));
  return bytes;
}

}  // namespace kiln::cache
