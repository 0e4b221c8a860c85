// Rooted: paths inside a foreign tree (snapshot, context, layer), resolved by
// the kernel with openat2(RESOLVE_IN_ROOT), so that no link leads out of it.
//
// The tree's own place is trusted; everything under it is not. Paths may start
// with a slash or not; ".." stops at the root. State of our own is base/file.h.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/unique_fd.h"

namespace kiln {

// An open tree. Methods are const and thread-safe. Errors carry the path inside
// the tree and Go's texts; the codes are those of ErrnoStatus.
class RootedTree {
 public:
  static StatusOr<RootedTree> Open(const std::string& root);
  int fd() const { return root_.get(); }
  const std::string& root() const { return path_; }

  // Opens with openat2; links are followed inside the tree unless O_NOFOLLOW.
  StatusOr<UniqueFd> OpenAt(std::string_view path, int flags, mode_t mode = 0) const;
  // The folder that holds `path` (links resolved) and the last name; "" is the
  // root itself ({root, "."}). For the *at() calls on the entry proper.
  struct Parent {
    UniqueFd dir;
    std::string name;
  };
  StatusOr<Parent> OpenParent(std::string_view path) const;
  StatusOr<struct stat> Lstat(std::string_view path) const;  // of the last name itself
  StatusOr<struct stat> Stat(std::string_view path) const;   // follows
  StatusOr<std::string> ReadLink(std::string_view path) const;
  StatusOr<std::string> ReadFile(std::string_view path, uint64_t limit = 64 << 20) const;
  // "/a/b" with every link replaced. With `missing_ok` the part that does not
  // exist is appended as it is (containerd's fs.RootPath). Loops give ELOOP.
  StatusOr<std::string> Resolve(std::string_view path, bool missing_ok = true) const;
  // mkdir -p; `created` sees each new folder (open, with its path) from the top.
  Status MakeDirs(std::string_view path, mode_t mode = 0755,
                  const std::function<Status(int fd, const std::string& path)>& created = {}) const;
  // Removes what is there, folders with contents; links are removed, not followed.
  Status RemoveAll(std::string_view path) const;

 private:
  UniqueFd root_;
  std::string path_;
};

// One entry met by WalkTree. `dir` is the open parent, `name` the entry in it.
struct WalkEntry {
  std::string path;  // relative to the start, without a leading slash
  int dir = -1;
  std::string name;
  const struct stat* st = nullptr;  // of the entry itself (links not followed)
};
enum class WalkStep { kContinue, kSkipDir };

// Visits everything below the folder open at `dir` (not itself), parents first,
// names in byte order, fd-relative, without following links. Entries that
// vanish meanwhile are left out. Ends with the first error of `visit`.
Status WalkTree(int dir, const std::function<StatusOr<WalkStep>(const WalkEntry&)>& visit);

// "/proc/self/fd/<dir>/<name>": for calls that have no *at() form (xattrs).
std::string FdPath(int dir, std::string_view name);
// All extended attributes of the entry itself; none where the file system has no support.
StatusOr<std::map<std::string, std::string>> ReadXattrs(int dir, std::string_view name);
// One attribute of the entry itself; empty if it is not there.
StatusOr<std::string> ReadXattr(int dir, std::string_view name, std::string_view attribute);
Status WriteXattr(int dir, std::string_view name, std::string_view attribute,
                  std::string_view value);

}  // namespace kiln
