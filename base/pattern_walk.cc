// PatternWalk and followed links: what a walk of a tree does with patterns.
#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/glob.h"
#include "base/pattern.h"
#include "base/strings.h"

namespace kiln {

namespace {

// "a/b/**" and "a/b/*" can only match below a/b.
std::string WithoutTrailingGlob(const std::string& pattern) {
  return std::string(TrimSuffix(TrimSuffix(pattern, "/**"), "/*"));
}

// Whether all patterns that `exclusion` selects are plain paths, so that comparing
// prefixes tells where they can match.
bool OnlyPrefixes(const PatternList& list, bool exclusion) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (list.exclusion(i) != exclusion) continue;
    if (WithoutTrailingGlob(list.text(i)).find_first_of("*[]?^\\") != std::string::npos) {
      return false;
    }
  }
  return true;
}

bool MayMatchBelow(const PatternList& list, bool exclusion, std::string_view directory) {
  const std::string prefix = StrCat(directory, "/");
  for (size_t i = 0; i < list.size(); ++i) {
    if (list.exclusion(i) != exclusion) continue;
    if ((WithoutTrailingGlob(list.text(i)) + "/").starts_with(prefix)) return true;
  }
  return false;
}

StatusOr<PatternList> CompileFor(const std::vector<std::string>& patterns, std::string_view what) {
  StatusOr<PatternList> list = PatternList::Compile(patterns);
  if (list.ok()) return list;
  return Annotate(list.status(), StrCat("invalid ", what, ": [", StrJoin(patterns, " "), "]"));
}

// Paths that lie below their predecessor go. False if "." is among them: no filter.
bool Dedupe(std::vector<std::string>* paths) {
  std::vector<std::string> kept;
  std::string last;
  for (std::string& path : *paths) {
    if (path == ".") return false;
    if (path.starts_with(last + "/")) continue;
    last = path;
    kept.push_back(std::move(path));
  }
  *paths = std::move(kept);
  return true;
}

// Go's filepath.Join of two parts that are not both empty.
std::string Join(std::string_view a, std::string_view b) { return CleanPath(StrCat(a, "/", b)); }

// Finds which paths are needed to reach each followed path through links.
class LinkFollower {
 public:
  explicit LinkFollower(const LinkTree& tree) : tree_(tree) {}

  Status Add(std::string_view path) {
    // The work list takes the place of recursion: links may chain for long.
    std::vector<std::string> pending{Join(".", path)};
    while (!pending.empty()) {
      const std::string next = std::move(pending.back());
      pending.pop_back();
      RETURN_IF_ERROR(Step(next, &pending));
    }
    return OkStatus();
  }

  std::vector<std::string> Take() && { return {resolved_.begin(), resolved_.end()}; }

 private:
  Status Step(std::string path, std::vector<std::string>* pending) {
    path = std::string(TrimPrefix(path, "/"));
    std::string current = ".";
    std::string_view rest = path;
    while (true) {
      std::string_view part;
      StrCut(rest, "/", &part, &rest);
      current = Join(current, part);
      bool is_link = false;
      std::vector<std::string> targets;
      RETURN_IF_ERROR(Resolve(current, &is_link, &targets));
      if ((rest.empty() || is_link) && resolved_.contains(current)) return OkStatus();
      if (is_link) {
        resolved_.insert(current);
        for (auto target = targets.rbegin(); target != targets.rend(); ++target) {
          pending->push_back(Join(*target, rest));
        }
        return OkStatus();
      }
      if (rest.empty()) {
        resolved_.insert(current);
        return OkStatus();
      }
    }
  }

  Status Resolve(const std::string& path, bool* is_link, std::vector<std::string>* targets) {
    if (!HasGlob(BaseName(path))) return ReadOne(path, is_link, targets);
    const std::string directory = DirName(path);
    ASSIGN_OR_RETURN(std::vector<std::string> names, tree_.List(directory));
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      const StatusOr<bool> match = GlobMatch(BaseName(path), name);
      if (!match.ok() || !*match) continue;
      RETURN_IF_ERROR(ReadOne(Join(directory, name), is_link, targets));
    }
    return OkStatus();
  }

  Status ReadOne(const std::string& path, bool* is_link, std::vector<std::string>* targets) {
    if (path == "." || path == "/") return OkStatus();
    ASSIGN_OR_RETURN(std::string link, tree_.ReadLink(path));
    if (link.empty()) return OkStatus();
    *is_link = true;
    link = CleanPath(link);
    targets->push_back(link[0] == '/' ? link : Join("/", Join(DirName(path), link)));
    return OkStatus();
  }

  const LinkTree& tree_;
  std::set<std::string> resolved_;
};

}  // namespace

StatusOr<PatternWalk> PatternWalk::Make(const std::vector<std::string>& include,
                                        const std::vector<std::string>& exclude) {
  PatternWalk walk;
  ASSIGN_OR_RETURN(walk.include_, CompileFor(include, "includepatterns"));
  ASSIGN_OR_RETURN(walk.exclude_, CompileFor(exclude, "excludepatterns"));
  walk.include_given_ = !include.empty();
  walk.prefix_includes_ = OnlyPrefixes(walk.include_, false);
  walk.prefix_exceptions_ = OnlyPrefixes(walk.exclude_, true);
  return walk;
}

PatternWalk::Verdict PatternWalk::Visit(std::string_view path, bool is_directory) {
  while (!parents_.empty() && !path.starts_with(parents_.back().path_with_slash)) {
    parents_.pop_back();
  }
  Level level;
  bool skip = false;
  static const std::vector<bool> none;
  if (include_given_) {
    const std::vector<bool>& above = parents_.empty() ? none : parents_.back().include;
    if (!include_.MatchesUsingParent(path, above, &level.include)) {
      if (is_directory && prefix_includes_ && !MayMatchBelow(include_, false, path)) {
        return Verdict::kSkipAll;
      }
      skip = true;
    }
  }
  if (!exclude_.empty()) {
    const std::vector<bool>& above = parents_.empty() ? none : parents_.back().exclude;
    if (exclude_.MatchesUsingParent(path, above, &level.exclude)) {
      if (is_directory && prefix_exceptions_ && !MayMatchBelow(exclude_, true, path)) {
        return Verdict::kSkipAll;
      }
      skip = true;
    }
  }
  if (is_directory) {
    level.path_with_slash = StrCat(path, "/");
    parents_.push_back(std::move(level));
  }
  return skip ? Verdict::kSkip : Verdict::kKeep;
}

StatusOr<std::vector<std::string>> FollowedIncludes(const LinkTree& tree,
                                                    const std::vector<std::string>& include,
                                                    const std::vector<std::string>& follow) {
  if (follow.empty()) return include;
  LinkFollower follower(tree);
  for (const std::string& path : follow) {
    RETURN_IF_ERROR(follower.Add(path));
  }
  std::vector<std::string> targets = std::move(follower).Take();
  if (!Dedupe(&targets)) return include;
  std::vector<std::string> all = include;
  all.insert(all.end(), targets.begin(), targets.end());
  if (!Dedupe(&all)) all.clear();
  return all;
}

}  // namespace kiln
