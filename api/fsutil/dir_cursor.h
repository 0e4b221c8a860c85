// DirCursor: walks a folder step by step, in the order of ComparePaths.
//
// The pulling form that comparing two trees needs; names of a folder are read
// when the cursor enters it, what is created there later is not seen.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/fsutil/fs_stat.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace kiln::api {

// Not thread-safe. Entries that vanish meanwhile are left out.
class DirCursor {
 public:
  // Stands on the first entry. An absent `dir` (-1) is empty.
  static StatusOr<DirCursor> Open(int dir);

  // Null at the end. Hard links have the first path met as link_name, size 0. Without
  // extended attributes, which no comparison looks at.
  const FsStat* current() const { return current_.has_value() ? &*current_ : nullptr; }
  // The next entry; with `enter` false the inside of a folder is passed over.
  Status Advance(bool enter);

 private:
  struct Level {
    UniqueFd dir;
    std::string prefix;
    std::vector<std::string> names;  // what is left, last first
  };
  Status Push(UniqueFd dir, std::string prefix);
  Status FindNext();

  std::vector<Level> levels_;
  std::optional<FsStat> current_;
  std::string name_;
  std::unordered_map<uint64_t, std::string> first_names_;
};

}  // namespace kiln::api
