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

// Shortest equivalent path, as Go's filepath.Clean.
std::string CleanPath(std::string_view path);

// Go's filepath.Match: shell pattern over one whole path, `*` stops at '/'.
// UNKNOWN "syntax error in pattern".
StatusOr<bool> GlobMatch(std::string_view pattern, std::string_view name);

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
  bool prefix_includes_ = true;
  bool prefix_exceptions_ = true;
  std::vector<Level> parents_;
};

// Sorted paths without those that lie below another one; empty if "." is among them
// (no filter). Used on include patterns and followed paths.
std::vector<std::string> DedupePaths(const std::vector<std::string>& sorted);

}  // namespace kiln
