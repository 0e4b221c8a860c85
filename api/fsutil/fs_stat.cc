// Conversions between st_mode, Go's modes and the wire.
#include "api/fsutil/fs_stat.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "api/proto/session/fsutil_stat.pb.h"
#include "base/rooted.h"

namespace kiln::api {
namespace {

constexpr uint32_t kDir = 1U << 31;
constexpr uint32_t kSymlink = 1U << 27;
constexpr uint32_t kDevice = 1U << 26;
constexpr uint32_t kNamedPipe = 1U << 25;
constexpr uint32_t kSetuid = 1U << 23;
constexpr uint32_t kSetgid = 1U << 22;
constexpr uint32_t kCharDevice = 1U << 21;
constexpr uint32_t kSticky = 1U << 20;

StatusOr<std::string> ReadLinkAt(int dir, const std::string& name) {
  std::string text(256, '\0');
  while (true) {
    ssize_t n = ::readlinkat(dir, name.c_str(), text.data(), text.size());
    if (n < 0) return ErrnoStatus(errno, StrCat("readlink ", name));
    if (static_cast<size_t>(n) < text.size()) {
      text.resize(static_cast<size_t>(n));
      return text;
    }
    text.resize(text.size() * 2);
  }
}

}  // namespace

uint32_t GoModeOf(mode_t posix) {
  uint32_t mode = posix & 0777;
  if ((posix & S_ISUID) != 0) mode |= kSetuid;
  if ((posix & S_ISGID) != 0) mode |= kSetgid;
  if ((posix & S_ISVTX) != 0) mode |= kSticky;
  switch (posix & S_IFMT) {
    case S_IFDIR: return mode | kDir;
    case S_IFLNK: return mode | kSymlink;
    case S_IFIFO: return mode | kNamedPipe;
    case S_IFBLK: return mode | kDevice;
    case S_IFCHR: return mode | kDevice | kCharDevice;
    default: return mode;  // a socket travels as a file, as in the reference
  }
}

mode_t PosixModeOf(uint32_t go) {
  mode_t mode = go & 0777;
  if ((go & kSetuid) != 0) mode |= S_ISUID;
  if ((go & kSetgid) != 0) mode |= S_ISGID;
  if ((go & kSticky) != 0) mode |= S_ISVTX;
  if ((go & kDir) != 0) return mode | S_IFDIR;
  if ((go & kSymlink) != 0) return mode | S_IFLNK;
  if ((go & kNamedPipe) != 0) return mode | S_IFIFO;
  if ((go & kCharDevice) != 0) return mode | S_IFCHR;
  if ((go & kDevice) != 0) return mode | S_IFBLK;
  return mode | S_IFREG;
}

StatusOr<FsStat> PlainStatOf(int dir, const std::string& name, std::string path,
                             const struct stat& st) {
  FsStat out;
  out.path = std::move(path);
  out.mode = GoModeOf(st.st_mode);
  out.uid = st.st_uid;
  out.gid = st.st_gid;
  out.mod_time = st.st_mtim.tv_sec * 1'000'000'000 + st.st_mtim.tv_nsec;
  if (!S_ISDIR(st.st_mode)) {
    out.size = st.st_size;
    if (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode)) {
      out.dev_major = major(st.st_rdev);
      out.dev_minor = minor(st.st_rdev);
    }
  }
  if (S_ISLNK(st.st_mode)) {
    ASSIGN_OR_RETURN(out.link_name, ReadLinkAt(dir, name));
  }
  return out;
}

StatusOr<FsStat> StatOf(int dir, const std::string& name, std::string path,
                        const struct stat& st) {
  ASSIGN_OR_RETURN(FsStat out, PlainStatOf(dir, name, std::move(path), st));
  ASSIGN_OR_RETURN(out.xattrs, ReadXattrs(dir, name));
  std::erase_if(out.xattrs, [](const auto& x) { return x.first.starts_with("com.apple."); });
  return out;
}

void ToProto(const FsStat& stat, ::fsutil::types::Stat* out) {
  out->set_path(stat.path);
  out->set_mode(stat.mode);
  out->set_uid(stat.uid);
  out->set_gid(stat.gid);
  out->set_size(stat.size);
  out->set_modtime(stat.mod_time);
  out->set_linkname(stat.link_name);
  out->set_devmajor(stat.dev_major);
  out->set_devminor(stat.dev_minor);
  for (const auto& [key, value] : stat.xattrs) (*out->mutable_xattrs())[key] = value;
}

FsStat FromProto(const ::fsutil::types::Stat& stat) {
  FsStat out;
  out.path = stat.path();
  out.mode = stat.mode();
  out.uid = stat.uid();
  out.gid = stat.gid();
  out.size = stat.size();
  out.mod_time = stat.modtime();
  out.link_name = stat.linkname();
  out.dev_major = stat.devmajor();
  out.dev_minor = stat.devminor();
  for (const auto& [key, value] : stat.xattrs()) out.xattrs[key] = value;
  return out;
}

int ComparePaths(std::string_view a, std::string_view b) {
  size_t n = std::min(a.size(), b.size());
  for (size_t i = 0; i < n; ++i) {
    if (a[i] == b[i]) continue;
    if (a[i] == '/') return -1;
    if (b[i] == '/') return 1;
    return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]) ? -1 : 1;
  }
  if (a.size() == b.size()) return 0;
  return a.size() < b.size() ? -1 : 1;
}

}  // namespace kiln::api
