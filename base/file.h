// Small blocking file operations with Status, for state that we own.
// Paths inside foreign trees go through base/rooted.h, never through these.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"

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
// Bytes that a tree occupies on disk (st_blocks), hard links counted once.
StatusOr<uint64_t> DiskUsageOf(const std::string& path);
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
