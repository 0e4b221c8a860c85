// A folder on disk as an FsTree: filter, parents of what is kept, hard links.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <limits>
#include <unordered_map>

#include "api/fsutil/fs_tree.h"
#include "base/pattern.h"
#include "base/rooted.h"

namespace kiln::api {
namespace {

class DirLinks final : public LinkTree {
 public:
  explicit DirLinks(const RootedTree& tree) : tree_(tree) {}

  StatusOr<std::string> ReadLink(const std::string& path) const override {
    StatusOr<struct stat> st = tree_.Lstat(path);
    if (!st.ok() || !S_ISLNK(st->st_mode)) return std::string();
    return tree_.ReadLink(path);
  }

  StatusOr<std::vector<std::string>> List(const std::string& path) const override {
    std::vector<std::string> names;
    StatusOr<UniqueFd> dir = tree_.OpenAt(path, O_RDONLY | O_DIRECTORY);
    if (!dir.ok()) return names;
    RETURN_IF_ERROR(WalkTree(dir->get(), [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
      names.push_back(entry.name);
      return WalkStep::kSkipDir;
    }));
    return names;
  }

 private:
  const RootedTree& tree_;
};

// No more than the file had when it was opened: one that grows all the time, as a log
// does, would never end. Files of /proc and the like have a size of 0 and are read to
// their end.
class DiskFile final : public FsFile {
 public:
  explicit DiskFile(UniqueFd fd) : fd_(std::move(fd)) {
    struct stat st{};
    if (::fstat(fd_.get(), &st) == 0 && st.st_size > 0) rest_ = static_cast<size_t>(st.st_size);
  }
  StatusOr<size_t> Read(char* buffer, size_t size) override {
    for (;;) {
      ssize_t n = ::read(fd_.get(), buffer, std::min(size, rest_));
      if (n >= 0) {
        rest_ -= static_cast<size_t>(n);
        return static_cast<size_t>(n);
      }
      if (errno != EINTR) return ErrnoStatus(errno, "read");
    }
  }

 private:
  UniqueFd fd_;
  size_t rest_ = std::numeric_limits<size_t>::max();
};

// One walk. Folders that match nothing themselves are told when something in
// them is kept.
class FilteredWalk {
 public:
  FilteredWalk(PatternWalk patterns, const TreeFilter& filter,
               const std::function<Status(const FsStat&)>& visit)
      : patterns_(std::move(patterns)), filter_(filter), visit_(visit) {}

  StatusOr<WalkStep> Visit(const WalkEntry& entry) {
    while (!held_.empty() && !entry.path.starts_with(held_.back().stat.path + "/")) {
      held_.pop_back();
    }
    bool is_dir = S_ISDIR(entry.st->st_mode);
    PatternWalk::Verdict verdict = patterns_.Visit(entry.path, is_dir);
    if (verdict == PatternWalk::Verdict::kSkipAll) return WalkStep::kSkipDir;
    if (verdict == PatternWalk::Verdict::kSkip && !is_dir) return WalkStep::kContinue;
    StatusOr<FsStat> stat = StatOf(entry.dir, entry.name, entry.path, *entry.st);
    if (!stat.ok()) {
      return IsNotFound(stat.status()) ? StatusOr<WalkStep>(WalkStep::kSkipDir) : stat.status();
    }
    bool kept = verdict == PatternWalk::Verdict::kKeep;
    if (kept && filter_.map && !filter_.map(*stat)) {
      if (is_dir) held_.push_back({*std::move(stat), true});
      return WalkStep::kContinue;
    }
    if (kept) RETURN_IF_ERROR(Tell(*stat, *entry.st));
    if (is_dir) held_.push_back({*std::move(stat), kept});
    return WalkStep::kContinue;
  }

 private:
  struct Held {
    FsStat stat;
    bool told;
  };

  Status Tell(FsStat& stat, const struct stat& st) {
    for (Held& parent : held_) {
      if (parent.told) continue;
      parent.told = true;
      if (filter_.map && !filter_.map(parent.stat)) continue;
      RETURN_IF_ERROR(visit_(parent.stat));
    }
    if (!stat.is_dir() && !stat.is_symlink() && st.st_nlink > 1) {
      auto [first, is_new] = first_names_.emplace(st.st_ino, stat.path);
      if (!is_new) {
        stat.link_name = first->second;
        stat.size = 0;
      }
    }
    return visit_(stat);
  }

  PatternWalk patterns_;
  const TreeFilter& filter_;
  const std::function<Status(const FsStat&)>& visit_;
  std::vector<Held> held_;  // folders above the current entry
  std::unordered_map<uint64_t, std::string> first_names_;
};

class DirTree final : public FsTree {
 public:
  DirTree(RootedTree tree, TreeFilter filter, PatternWalk patterns)
      : tree_(std::move(tree)), filter_(std::move(filter)), patterns_(std::move(patterns)) {}

  Status Walk(const std::function<Status(const FsStat&)>& visit) override {
    FilteredWalk walk(patterns_, filter_, visit);
    return WalkTree(tree_.fd(), [&](const WalkEntry& entry) { return walk.Visit(entry); });
  }

  StatusOr<std::unique_ptr<FsFile>> Open(std::string_view path) override {
    ASSIGN_OR_RETURN(UniqueFd fd, tree_.OpenAt(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW));
    return std::unique_ptr<FsFile>(new DiskFile(std::move(fd)));
  }

 private:
  RootedTree tree_;
  TreeFilter filter_;
  PatternWalk patterns_;
};

}  // namespace

StatusOr<std::unique_ptr<FsTree>> OpenDirTree(const std::string& dir, TreeFilter filter) {
  char resolved[PATH_MAX];
  if (::realpath(dir.c_str(), resolved) == nullptr) {
    return ErrnoStatus(errno, StrCat("resolve : lstat ", dir));
  }
  struct stat st{};
  if (::stat(resolved, &st) == 0 && !S_ISDIR(st.st_mode)) {
    return ErrnoStatus(ENOTDIR, StrCat("stat ", resolved));
  }
  ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(resolved));
  ASSIGN_OR_RETURN(std::vector<std::string> include,
                   FollowedIncludes(DirLinks(tree), filter.include, filter.follow_paths));
  ASSIGN_OR_RETURN(PatternWalk patterns, PatternWalk::Make(include, filter.exclude));
  return std::unique_ptr<FsTree>(
      new DirTree(std::move(tree), std::move(filter), std::move(patterns)));
}

}  // namespace kiln::api
