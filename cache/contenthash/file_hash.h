// FileHash: digest of one file's header and bytes, as cache keys use it.
//
// The header is written in the form of Docker's old tarsum v1 without time and
// name. What a tree of such digests adds up to is content_hash.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/status.h"

namespace kiln::cache {

// A file as the file sync protocol describes it. Mode bits are Go's os.FileMode.
struct FileStat {
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t size = 0;
  int64_t mtime_nanos = 0;
  std::string linkname;  // symlink text, or first name of a hard link
  int64_t devmajor = 0;
  int64_t devminor = 0;
  std::map<std::string, std::string> xattrs;

  bool is_dir() const { return (mode & (1U << 31)) != 0; }
  bool is_symlink() const { return (mode & (1U << 27)) != 0; }
  bool is_regular() const { return (mode & 0x8f280000U) == 0; }
};

// Go's mode bits of a POSIX st_mode, and back.
uint32_t GoMode(uint32_t posix_mode);
uint32_t PosixMode(uint32_t go_mode);

// Not thread-safe. Feed the content of a regular file; nothing for others.
class FileHash {
 public:
  explicit FileHash(const FileStat& stat);
  void Update(std::string_view bytes) { hash_.Update(bytes); }
  Digest Finish() const { return hash_.Finish(); }

 private:
  Sha256 hash_;
};

}  // namespace kiln::cache
