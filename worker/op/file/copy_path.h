// CopyPath: COPY's rules on where a source goes, and which sources a pattern names.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/rooted.h"
#include "base/status.h"
#include "worker/op/file/file_attributes.h"
#include "worker/op/file/tree_copier.h"

namespace kiln::worker {

// Go-like: an absolute, cleaned path that keeps a "/" or "/." at its end.
std::string CleanKeepingEnd(std::string_view path);

// Paths in `tree` that `pattern` names (`*` stops at '/'); a path without
// wildcards gives itself. Matches are not descended into.
StatusOr<std::vector<std::string>> ResolveWildcards(const RootedTree& tree,
                                                    const std::string& pattern,
                                                    bool follow_links);

// mkdir -p inside the tree with attributes for what is new.
class MadeDirs {
 public:
  // `mode` holds permission bits. An existing entry that is no folder gives ENOTDIR.
  Status Make(const RootedTree& tree, const std::string& path, uint32_t mode,
              const AttributeChange& change);
  // Sets the times again that making entries in the folders has changed.
  Status RestoreTimes(const RootedTree& tree, const AttributeChange& change) const;
  bool Made(const std::string& path) const;

 private:
  std::vector<std::string> paths_;
};

// `from` of one tree to `to` of another.
Status CopyPath(const RootedTree& source, const std::string& from, const RootedTree& target,
                const std::string& to, const CopyOptions& options, std::stop_token stop);

}  // namespace kiln::worker
