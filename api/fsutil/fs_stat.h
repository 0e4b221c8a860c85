// FsStat: one entry of a tree as the file sync protocol describes it.
//
// A plain value and its conversions; nothing is read from disk here except by
// StatOf. Mode bits are Go's os.FileMode, not st_mode.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/status.h"

namespace fsutil::types {
class Stat;
}

namespace kiln::api {

struct FsStat {
  std::string path = {};  // relative, no leading slash
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t size = 0;
  int64_t mod_time = 0;        // nanoseconds since 1970
  std::string link_name = {};  // symlink text, or first path of a hard link
  int64_t dev_major = 0;
  int64_t dev_minor = 0;
  std::map<std::string, std::string> xattrs = {};

  bool is_dir() const { return (mode & (1U << 31)) != 0; }
  bool is_symlink() const { return (mode & (1U << 27)) != 0; }
  // No bit of Go's ModeType is set; also true of hard links.
  bool is_regular() const { return (mode & 0x8f280000U) == 0; }
};

uint32_t GoModeOf(mode_t posix);
// Type and permission bits; regular files get S_IFREG.
mode_t PosixModeOf(uint32_t go);

// The entry `name` of the folder open at `dir`, links not followed; `path` is
// what it is called in the tree. Hard links are not looked for.
StatusOr<FsStat> StatOf(int dir, const std::string& name, std::string path,
                        const struct stat& st);
// The same without its extended attributes.
StatusOr<FsStat> PlainStatOf(int dir, const std::string& name, std::string path,
                             const struct stat& st);

void ToProto(const FsStat& stat, ::fsutil::types::Stat* out);
FsStat FromProto(const ::fsutil::types::Stat& stat);

// Order of a stream: like bytes, but '/' before everything else. <0, 0, >0.
int ComparePaths(std::string_view a, std::string_view b);

}  // namespace kiln::api
