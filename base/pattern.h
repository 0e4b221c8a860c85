// PatternList: .dockerignore-like patterns (`**/*.go`, `!docs`) over slash paths.
//
// Follows moby's pattern matcher, including its older, narrower rule that file
// sync still uses. PatternWalk adds what a walk of a tree needs on top: which
// entries are kept, and which directories need not be entered.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln {

// Lines of an ignore file as patterns: no comments or blanks, paths cleaned.
std::vector<std::string> ReadIgnoreFile(std::string_view text);

// A compiled list. Immutable; safe on every thread. Copies share the patterns.
class PatternList {
 public:
  PatternList() = default;
  // UNKNOWN 'illegal exclusion pattern: "!"' or "syntax error in pattern".
  static StatusOr<PatternList> Compile(const std::vector<std::string>& patterns);

  bool empty() const;
  // One of the patterns starts with '!'.
  bool has_exclusions() const;
  size_t size() const;
  // Pattern text, cleaned and without '!'.
  const std::string& text(size_t i) const;
  bool exclusion(size_t i) const;

  // The path or one of its parents matches, and no later exclusion takes it out again.
  bool MatchesOrParentMatches(std::string_view path) const;
  // Older rule: of the parents only the one as deep as the pattern counts.
  bool Matches(std::string_view path) const;
  // Like MatchesOrParentMatches, with the results of the parent directory at hand:
  // `parent` is empty at the top. Fills `own` (one entry per pattern) for the children.
  bool MatchesUsingParent(std::string_view path, const std::vector<bool>& parent,
                          std::vector<bool>* own) const;

 private:
  struct Pattern;
  std::shared_ptr<const std::vector<Pattern>> patterns_;
};

// Decides for each entry of a depth-first walk whether it is kept. Entries must
// come parents first, siblings in any order. Not thread-safe.
class PatternWalk {
 public:
  // Empty lists keep all. UNKNOWN "invalid includepatterns: […]: …".
  static StatusOr<PatternWalk> Make(const std::vector<std::string>& include,
                                    const std::vector<std::string>& exclude);

  enum class Verdict {
    kKeep,     // and its parent directories, if not kept before
    kSkip,     // but go on below it
    kSkipAll,  // directory in which nothing can match: do not enter
  };
  // `path` is relative to the top, without a leading slash.
  Verdict Visit(std::string_view path, bool is_directory);

 private:
  struct Level {
    std::string path_with_slash;
    std::vector<bool> include;
    std::vector<bool> exclude;
  };
  PatternList include_;
  PatternList exclude_;
  bool include_given_ = false;  // a list of blanks matches nothing
  bool prefix_includes_ = true;
  bool prefix_exceptions_ = true;
  std::vector<Level> parents_;
};

// A tree as FollowLinks sees it. Paths are relative, cleaned; "." is the top.
class LinkTree {
 public:
  virtual ~LinkTree() = default;
  // Text of the symbolic link at `path`; empty if it is none or does not exist.
  virtual StatusOr<std::string> ReadLink(const std::string& path) const = 0;
  // Names in the directory `path`; none if it does not exist.
  virtual StatusOr<std::vector<std::string>> List(const std::string& path) const = 0;
};

// `include` plus the paths of `follow` and whatever links on the way point to;
// with the rule that a followed "." adds nothing, and that paths below others
// go. Wildcards in the last element of each step are resolved. An empty `follow`
// gives `include` back.
StatusOr<std::vector<std::string>> FollowedIncludes(const LinkTree& tree,
                                                    const std::vector<std::string>& include,
                                                    const std::vector<std::string>& follow);

}  // namespace kiln
