// OrderCheck: whether announced entries form a tree, told parents first in order.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "api/fsutil/fs_stat.h"
#include "base/status.h"

namespace kiln::api {

// Not thread-safe. Memory: 8 bytes of payload per file, and the open folders.
class OrderCheck {
 public:
  // `most_entries`, and `most_bytes` of their names, links and attributes, end it.
  OrderCheck(size_t most_entries, size_t most_bytes)
      : most_entries_(most_entries), most_bytes_(most_bytes) {}

  // UNKNOWN in the reference's words for unclean, absolute or escaping paths, a
  // missing parent, entries out of order and hard links to what was not told.
  // RESOURCE_EXHAUSTED for more than there is room for.
  Status Next(const FsStat& stat);

 private:
  Status Count(const FsStat& stat);

  struct Folder {
    std::string path;
    std::string last;
  };
  std::vector<Folder> folders_ = {Folder{}};
  // Hashes of names that hard links may refer to; a collision only moves the
  // error to the call of linkat, which stays inside the tree.
  std::unordered_set<size_t> seen_;
  const size_t most_entries_;
  const size_t most_bytes_;
  size_t entries_ = 0;
  size_t bytes_ = 0;
};

}  // namespace kiln::api
