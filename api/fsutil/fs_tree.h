// FsTree: a tree that can be sent, and the one that shows a folder on disk.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/fsutil/fs_stat.h"
#include "base/status.h"

namespace kiln::api {

class FsFile {
 public:
  virtual ~FsFile() = default;
  // Fills up to `size` bytes of `buffer`; 0 at the end.
  virtual StatusOr<size_t> Read(char* buffer, size_t size) = 0;
};

// Walk and Open are called from different threads at the same time.
class FsTree {
 public:
  virtual ~FsTree() = default;
  // Visits all entries in the order of ComparePaths, parents first, hard links
  // with the first visited path as link_name. Ends with the first error.
  virtual Status Walk(const std::function<Status(const FsStat&)>& visit) = 0;
  // A regular file that Walk has shown.
  virtual StatusOr<std::unique_ptr<FsFile>> Open(std::string_view path) = 0;
};

struct TreeFilter {
  std::vector<std::string> include = {};
  std::vector<std::string> exclude = {};
  std::vector<std::string> follow_paths = {};
  // Sees each entry that is kept, may change it (not its path); false drops it.
  std::function<bool(FsStat&)> map = {};
};

// The folder `dir` through the filter; links at its own place are followed.
// Errors in the reference's words ("resolve : lstat …: no such file or directory").
StatusOr<std::unique_ptr<FsTree>> OpenDirTree(const std::string& dir, TreeFilter filter);

// Several trees, each under a folder of its own. `stat.path` is a single name;
// absolute symlinks are made to stay under that folder.
struct SubTree {
  FsStat stat;
  std::unique_ptr<FsTree> tree;
};
StatusOr<std::unique_ptr<FsTree>> MakeSubTrees(std::vector<SubTree> trees);

// `tree` with files added, which hide what it has under their names.
struct ExtraFile {
  FsStat stat;
  std::string bytes;
};
std::unique_ptr<FsTree> MakeMergedTree(std::unique_ptr<FsTree> tree, std::vector<ExtraFile> files);

}  // namespace kiln::api
