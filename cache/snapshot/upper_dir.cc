#include "cache/snapshot/upper_dir.h"

#include <fcntl.h>
#include <sys/xattr.h>

#include <cerrno>
#include <optional>
#include <set>
#include <vector>

#include "base/rooted.h"
#include "base/strings.h"
#include "cache/snapshot/tree_copy.h"

namespace kiln::cache {
namespace {

// The lower folders as one tree, opened when first asked for.
class LowerStack {
 public:
  explicit LowerStack(std::span<const std::string> lowers) : lowers_(lowers) {}

  StatusOr<bool> HasDir(const std::string& path) {
    for (size_t i = 0; i < lowers_.size(); ++i) {
      if (i == open_.size()) {
        ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(lowers_[i]));
        open_.push_back(std::move(tree));
      }
      if (std::optional<bool> answer = LookIn(open_[i], path)) return *answer;
    }
    return false;
  }

 private:
  // Nothing: this layer does not say, ask the next one.
  static std::optional<bool> LookIn(const RootedTree& layer, const std::string& path) {
    UniqueFd dir(::fcntl(layer.fd(), F_DUPFD_CLOEXEC, 0));
    bool opaque = false;
    for (std::string_view part : StrSplit(path, '/')) {
      std::string name(part);
      struct stat st{};
      if (::fstatat(dir.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return opaque ? std::optional(false) : std::nullopt;
      }
      if (!S_ISDIR(st.st_mode)) return false;  // a whiteout, or a file in its place
      opaque = opaque || IsOpaque(dir.get(), name);
      UniqueFd next(::openat(dir.get(), name.c_str(),
                             O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      dir = std::move(next);
    }
    return true;
  }

  std::span<const std::string> lowers_;
  std::vector<RootedTree> open_;
};

}  // namespace

StatusOr<int64_t> SettleUpper(const std::string& upper, std::span<const std::string> lowers) {
  ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(upper));
  struct stat root{};
  if (::fstat(tree.fd(), &root) != 0) return ErrnoStatus(errno, upper);
  int64_t bytes = int64_t{root.st_blocks} * 512;
  LowerStack stack(lowers);
  std::set<std::pair<dev_t, ino_t>> linked;
  auto visit = [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    const struct stat& st = *entry.st;
    bool dir = S_ISDIR(st.st_mode);
    if (dir || st.st_nlink < 2 || linked.emplace(st.st_dev, st.st_ino).second) {
      bytes += int64_t{st.st_blocks} * 512;
    }
    if (!dir || !IsOpaque(entry.dir, entry.name)) return WalkStep::kContinue;
    ASSIGN_OR_RETURN(bool hides, stack.HasDir(entry.path));
    if (!hides) {
      std::string path = FdPath(entry.dir, entry.name);
      ::lremovexattr(path.c_str(), "trusted.overlay.opaque");
      ::lremovexattr(path.c_str(), "user.overlay.opaque");
    }
    return WalkStep::kContinue;
  };
  RETURN_IF_ERROR(WalkTree(tree.fd(), visit));
  return bytes;
}

}  // namespace kiln::cache
