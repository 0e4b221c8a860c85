#include "worker/op/file/copy_path.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/glob.h"
#include "base/strings.h"

namespace kiln::worker {
namespace {

// Up to the last slash, and what follows it (Go's filepath.Split).
std::pair<std::string, std::string> SplitPath(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos
             ? std::pair<std::string, std::string>{"", path}
             : std::pair<std::string, std::string>{path.substr(0, slash + 1),
                                                   path.substr(slash + 1)};
}

// The real place of `path`; its last name is resolved only if links are followed.
StatusOr<std::string> SourcePlace(const RootedTree& tree, const std::string& path,
                                  bool follow_links) {
  const std::string clean = CleanPath("/" + path);
  if (clean == "/" || follow_links) {
    return tree.Resolve(clean);
  }
  ASSIGN_OR_RETURN(std::string parent, tree.Resolve(DirName(clean)));
  return JoinPath(parent, BaseName(clean));
}

StatusOr<struct stat> LstatNamed(const RootedTree& tree, const std::string& path) {
  StatusOr<struct stat> st = tree.Lstat(path);
  if (!st.ok() && IsNotFound(st.status())) return ErrnoStatus(ENOENT, StrCat("lstat ", path));
  return st;
}

struct SplitPattern {
  std::string fixed;    // leading parts without wildcards
  std::string pattern;  // the rest
};

SplitPattern SplitWildcards(const std::string& path) {
  SplitPattern split;
  std::vector<std::string> fixed, rest;
  const std::string clean = CleanPath(path);
  for (std::string_view part : StrSplit(clean, '/')) {
    (rest.empty() && !HasGlob(part) ? fixed : rest).emplace_back(part);
  }
  split.fixed = StrJoin(fixed, "/");
  if (split.fixed.empty()) split.fixed = "/";
  split.pattern = StrJoin(rest, "/");
  return split;
}

// Walks no deeper than the pattern has parts.
Status MatchBelow(int dir, const std::string& prefix, const std::string& pattern, size_t depth,
                  std::vector<std::string>* out) {
  return WalkTree(dir, [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    StatusOr<bool> match = GlobMatch(pattern, entry.path);
    if (match.ok() && *match) {
      out->push_back(JoinPath(prefix, entry.path));
      return WalkStep::kSkipDir;
    }
    auto level = static_cast<size_t>(std::count(entry.path.begin(), entry.path.end(), '/')) + 1;
    return level < depth ? WalkStep::kContinue : WalkStep::kSkipDir;
  });
}

// The place to copy to: below `to` if that is a folder and the source goes into it.
StatusOr<std::string> TargetPlace(const RootedTree& tree, const std::string& to,
                                  const std::string& from, bool source_is_dir,
                                  bool dir_contents, std::string* needed_dir) {
  StatusOr<struct stat> existing = tree.Stat(to);
  if (!existing.ok() && !IsNotFound(existing.status())) {
    return Annotate(existing.status(), "failed to lstat destination path");
  }
  std::string place = to;
  if (existing.ok() && (source_is_dir ? !dir_contents : S_ISDIR(existing->st_mode))) {
    place = JoinPath(to, BaseName(from));
    if (CleanPath(place) == CleanPath(to)) place = to;
  }
  const bool fills_new = dir_contents && source_is_dir && !existing.ok();
  *needed_dir = fills_new ? place : DirName(place);
  return CleanPath(place);
}

}  // namespace

std::string CleanKeepingEnd(std::string_view path) {
  std::string clean = CleanPath(StrCat("/", path));
  if (path.ends_with("/.")) {
    return clean == "/" ? "/." : clean + "/.";
  }
  if (path.ends_with('/') && clean != "/") clean += "/";
  return clean;
}

StatusOr<std::vector<std::string>> ResolveWildcards(const RootedTree& tree,
                                                    const std::string& pattern,
                                                    bool follow_links) {
  SplitPattern split = SplitWildcards(pattern);
  if (split.pattern.empty()) {
    return std::vector<std::string>{split.fixed};
  }
  ASSIGN_OR_RETURN(std::string base, SourcePlace(tree, split.fixed, follow_links));
  ASSIGN_OR_RETURN(struct stat st, LstatNamed(tree, base));
  std::vector<std::string> matches;
  if (!S_ISDIR(st.st_mode)) return matches;
  ASSIGN_OR_RETURN(UniqueFd dir, tree.OpenAt(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto depth = static_cast<size_t>(std::count(split.pattern.begin(), split.pattern.end(), '/')) + 1;
  RETURN_IF_ERROR(MatchBelow(dir.get(), base, split.pattern, depth, &matches));
  return matches;
}

Status MadeDirs::Make(const RootedTree& tree, const std::string& path, uint32_t mode,
                      const AttributeChange& change) {
  StatusOr<struct stat> existing = tree.Stat(path);
  if (existing.ok()) {
    return S_ISDIR(existing->st_mode) ? OkStatus() : ErrnoStatus(ENOTDIR, StrCat("mkdir ", path));
  }
  ASSIGN_OR_RETURN(std::string place, tree.Resolve(path));
  return tree.MakeDirs(place, mode, [&](int fd, const std::string& made) -> Status {
    if (::fchmod(fd, mode) != 0) return ErrnoStatus(errno, StrCat("chmod ", made));
    paths_.push_back(made);
    return ApplyNew(fd, "", change, made);
  });
}

bool MadeDirs::Made(const std::string& path) const {
  return std::find(paths_.begin(), paths_.end(), path) != paths_.end();
}

Status MadeDirs::RestoreTimes(const RootedTree& tree, const AttributeChange& change) const {
  if (!change.timestamp) return OkStatus();
  timespec time = TimespecOf(*change.timestamp);
  for (auto path = paths_.rbegin(); path != paths_.rend(); ++path) {
    ASSIGN_OR_RETURN(UniqueFd dir, tree.OpenAt(*path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    RETURN_IF_ERROR(SetTimes(dir.get(), "", {time, time}, *path));
  }
  return OkStatus();
}

Status CopyPath(const RootedTree& source, const std::string& from, const RootedTree& target,
                const std::string& to, const CopyOptions& options, std::stop_token stop) {
  const uint32_t dir_mode = options.change.mode.value_or(0755) & 07777;
  MadeDirs made;
  auto [parent, last] = SplitPath(to);
  const std::string& ensure = !last.empty() && last != "." ? parent : to;
  RETURN_IF_ERROR(made.Make(target, ensure, dir_mode, options.change));
  ASSIGN_OR_RETURN(std::string place, target.Resolve(CleanPath("/" + to)));

  ASSIGN_OR_RETURN(std::string origin, SourcePlace(source, from, options.follow_links));
  ASSIGN_OR_RETURN(struct stat st, LstatNamed(source, origin));
  std::string needed;
  ASSIGN_OR_RETURN(place, TargetPlace(target, place, from, S_ISDIR(st.st_mode),
                                      options.dir_contents, &needed));
  RETURN_IF_ERROR(made.Make(target, needed, dir_mode, options.change));

  ASSIGN_OR_RETURN(RootedTree::Parent source_parent, source.OpenParent(origin));
  ASSIGN_OR_RETURN(RootedTree::Parent target_parent, target.OpenParent(place));
  ASSIGN_OR_RETURN(TreeCopier copier, TreeCopier::Make(options, std::move(stop)));
  RETURN_IF_ERROR(copier.Copy(source_parent.dir.get(), source_parent.name,
                              target_parent.dir.get(), target_parent.name, place,
                              made.Made(place)));
  return made.RestoreTimes(target, options.change);
}

}  // namespace kiln::worker
