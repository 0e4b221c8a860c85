// Headers in tarsum v1 form, and Go's mode bits. See file_hash.h.
#include "cache/contenthash/file_hash.h"

#include <sys/stat.h>

#include "base/strings.h"

namespace kiln::cache {
namespace {

constexpr uint32_t kGoDir = 1U << 31;
constexpr uint32_t kGoSymlink = 1U << 27;
constexpr uint32_t kGoDevice = 1U << 26;
constexpr uint32_t kGoPipe = 1U << 25;
constexpr uint32_t kGoSocket = 1U << 24;
constexpr uint32_t kGoSetuid = 1U << 23;
constexpr uint32_t kGoSetgid = 1U << 22;
constexpr uint32_t kGoChar = 1U << 21;
constexpr uint32_t kGoSticky = 1U << 20;
constexpr uint32_t kGoIrregular = 1U << 19;

char TypeFlag(uint32_t mode) {
  if ((mode & kGoDir) != 0) return '5';
  if ((mode & kGoSymlink) != 0) return '2';
  if ((mode & kGoDevice) != 0) return (mode & kGoChar) != 0 ? '3' : '4';
  if ((mode & kGoPipe) != 0) return '6';
  return '0';
}

// The kernel's and the store's own attributes are no part of a file.
bool IsHashed(std::string_view key) {
  if (key == "security.capability") return true;
  return !key.starts_with("security.") && !key.starts_with("system.") &&
         !key.starts_with("trusted.overlay.");
}

}  // namespace

uint32_t GoMode(uint32_t posix_mode) {
  uint32_t mode = posix_mode & 0777;
  switch (posix_mode & S_IFMT) {
    case S_IFDIR: mode |= kGoDir; break;
    case S_IFLNK: mode |= kGoSymlink; break;
    case S_IFBLK: mode |= kGoDevice; break;
    case S_IFCHR: mode |= kGoDevice | kGoChar; break;
    case S_IFIFO: mode |= kGoPipe; break;
    case S_IFSOCK: mode |= kGoSocket; break;
    default: break;
  }
  if ((posix_mode & S_ISUID) != 0) mode |= kGoSetuid;
  if ((posix_mode & S_ISGID) != 0) mode |= kGoSetgid;
  if ((posix_mode & S_ISVTX) != 0) mode |= kGoSticky;
  return mode;
}

uint32_t PosixMode(uint32_t go_mode) {
  uint32_t mode = go_mode & 0777;
  if ((go_mode & kGoDir) != 0) {
    mode |= S_IFDIR;
  } else if ((go_mode & kGoSymlink) != 0) {
    mode |= S_IFLNK;
  } else if ((go_mode & kGoDevice) != 0) {
    mode |= (go_mode & kGoChar) != 0 ? S_IFCHR : S_IFBLK;
  } else if ((go_mode & kGoPipe) != 0) {
    mode |= S_IFIFO;
  } else if ((go_mode & kGoSocket) != 0) {
    mode |= S_IFSOCK;
  } else {
    mode |= S_IFREG;
  }
  if ((go_mode & kGoSetuid) != 0) mode |= S_ISUID;
  if ((go_mode & kGoSetgid) != 0) mode |= S_ISGID;
  if ((go_mode & kGoSticky) != 0) mode |= S_ISVTX;
  return mode;
}

FileHash::FileHash(const FileStat& stat) {
  // A tar header has no sockets: they count as regular files.
  uint32_t mode = stat.mode & ~(kGoSocket | kGoIrregular);
  char type = TypeFlag(mode);
  uint32_t bits = mode & 0777;
  if ((mode & kGoSetuid) != 0) bits |= 04000;
  if ((mode & kGoSetgid) != 0) bits |= 02000;
  if ((mode & kGoSticky) != 0) bits |= 01000;
  std::string header =
      StrCat("name", "mode", bits, "uid", stat.uid, "gid", stat.gid, "size",
             type == '0' ? stat.size : 0, "typeflag", type, "linkname",
             type == '2' ? std::string_view(stat.linkname) : std::string_view(), "uname", "gname",
             "devmajor", stat.devmajor, "devminor", stat.devminor);
  for (const auto& [key, value] : stat.xattrs) {
    if (IsHashed(key)) header += StrCat(key, value);
  }
  hash_.Update(header);
}

}  // namespace kiln::cache
