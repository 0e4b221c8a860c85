// Small blocking file operations with Status, for state that we own.
// Paths inside foreign trees go through base/rooted.h, never through these.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"

struct stat;

namespace kiln {

StatusOr<std::string> ReadFile(const std::string& path);
// Writes beside `path` and renames; `sync` also flushes file and folder.
Status WriteFileAtomic(const std::string& path, std::string_view bytes, mode_t mode = 0644,
                       bool sync = false);
Status MakeDirs(const std::string& path, mode_t mode = 0755);
// Removes a tree; missing is OK. Does not follow links and does not cross mounts.
Status RemoveAll(const std::string& path);
StatusOr<std::vector<std::string>> ListDir(const std::string& path);  // sorted names
bool PathExists(const std::string& path);
StatusOr<UniqueFd> OpenFile(const std::string& path, int flags, mode_t mode = 0644);
Status WriteAll(int fd, std::string_view bytes);
Status SyncDir(const std::string& path);
// A new folder "<parent>/<prefix>XXXXXX".
StatusOr<std::string> MakeTempDir(const std::string& parent, std::string_view prefix);
// Bytes on disk (st_blocks), several names of a file counted once.
struct DiskUsage {
  int64_t bytes = 0;  // a file with names elsewhere counts by the share of its names that are here
  int64_t own = 0;    // without such files: what goes when the tree goes
  bool shares() const { return bytes != own; }
};
// Sums a tree, entry by entry.
class DiskUsageSum {
 public:
  void Add(const struct stat& st);
  DiskUsage Total() const;

 private:
  struct File {
    int64_t bytes = 0;
    uint64_t links = 0;  // of the file
    uint64_t seen = 0;   // of these, here
  };
  int64_t single_ = 0;
  std::map<std::pair<uint64_t, uint64_t>, File> linked_;  // by device and inode
};
// Missing is nothing.
StatusOr<DiskUsage> DiskUsageOf(const std::string& path);
std::string JoinPath(std::string_view a, std::string_view b);  // one slash between
std::string CleanPath(std::string_view path);                  // Go's path.Clean
std::string BaseName(std::string_view path);                   // Go's path.Base
std::string DirName(std::string_view path);                    // Go's path.Dir

// A random id of 25 characters in base 36, as the reference names refs and containers.
std::string NewId();

// A temp folder that is removed in the destructor.
class TempDir {
 public:
  explicit TempDir(std::string path) : path_(std::move(path)) {}
  ~TempDir();
  TempDir(TempDir&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace kiln
