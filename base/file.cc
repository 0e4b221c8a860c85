#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace kiln {
namespace {

// Names of a folder that is open at `fd`; takes the descriptor.
StatusOr<std::vector<std::string>> NamesIn(int fd, const std::string& path) {
  DIR* dir = ::fdopendir(fd);
  if (dir == nullptr) {
    int error = errno;
    ::close(fd);
    return ErrnoStatus(error, StrCat("open ", path));
  }
  std::vector<std::string> names;
  while (dirent* entry = ::readdir(dir)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") {
      names.emplace_back(name);
    }
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

Status RemoveAt(int parent, const std::string& name, const std::string& path, dev_t device) {
  struct stat st{};
  if (::fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? OkStatus() : ErrnoStatus(errno, StrCat("stat ", path));
  }
  if (!S_ISDIR(st.st_mode)) {
    if (::unlinkat(parent, name.c_str(), 0) != 0 && errno != ENOENT) {
      return ErrnoStatus(errno, StrCat("remove ", path));
    }
    return OkStatus();
  }
  if (st.st_dev != device) {
    return FailedPreconditionError(StrCat("remove ", path, ": is a mount point"));
  }
  int fd = ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    return ErrnoStatus(errno, StrCat("open ", path));
  }
  UniqueFd keep(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  ASSIGN_OR_RETURN(std::vector<std::string> names, NamesIn(fd, path));
  for (const std::string& child : names) {
    RETURN_IF_ERROR(RemoveAt(keep.get(), child, JoinPath(path, child), device));
  }
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, StrCat("remove ", path));
  }
  return OkStatus();
}

Status SumUsage(int parent, const std::string& name, const std::string& path, DiskUsageSum* sum) {
  struct stat st{};
  if (::fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? OkStatus() : ErrnoStatus(errno, StrCat("stat ", path));
  }
  sum->Add(st);
  if (!S_ISDIR(st.st_mode)) {
    return OkStatus();
  }
  int fd = ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    return errno == ENOENT ? OkStatus() : ErrnoStatus(errno, StrCat("open ", path));
  }
  UniqueFd keep(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  ASSIGN_OR_RETURN(std::vector<std::string> names, NamesIn(fd, path));
  for (const std::string& child : names) {
    RETURN_IF_ERROR(SumUsage(keep.get(), child, JoinPath(path, child), sum));
  }
  return OkStatus();
}

}  // namespace

StatusOr<UniqueFd> OpenFile(const std::string& path, int flags, mode_t mode) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    return ErrnoStatus(errno, StrCat("open ", path));
  }
  return UniqueFd(fd);
}

StatusOr<std::string> ReadFile(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDONLY));
  std::string bytes;
  char buffer[65536];
  for (;;) {
    ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count == 0) {
      return bytes;
    }
    if (count < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, StrCat("read ", path));
    }
    bytes.append(buffer, static_cast<size_t>(count));
  }
}

Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "write");
    }
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return OkStatus();
}

Status SyncDir(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDONLY | O_DIRECTORY));
  return ::fsync(fd.get()) == 0 ? OkStatus() : ErrnoStatus(errno, StrCat("sync ", path));
}

Status WriteFileAtomic(const std::string& path, std::string_view bytes, mode_t mode, bool sync) {
  std::string temp = StrCat(path, ".tmp-", NewId());
  Status status = [&]() -> Status {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(temp, O_WRONLY | O_CREAT | O_EXCL, mode));
    RETURN_IF_ERROR(Annotate(WriteAll(fd.get(), bytes), path));
    if (sync && ::fsync(fd.get()) != 0) {
      return ErrnoStatus(errno, StrCat("sync ", path));
    }
    if (::rename(temp.c_str(), path.c_str()) != 0) {
      return ErrnoStatus(errno, StrCat("rename ", path));
    }
    return OkStatus();
  }();
  if (!status.ok()) {
    ::unlink(temp.c_str());
    return status;
  }
  return sync ? SyncDir(DirName(path)) : OkStatus();
}

Status MakeDirs(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) {
    return OkStatus();
  }
  if (errno == EEXIST) {
    struct stat st{};
    if (::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
      return OkStatus();
    }
    return ErrnoStatus(ENOTDIR, StrCat("mkdir ", path));
  }
  std::string parent = DirName(path);
  // Of a path below a file, the file is named, as in Go.
  bool missing = errno == ENOENT || errno == ENOTDIR;
  if (!missing || parent == path) {
    return ErrnoStatus(errno, StrCat("mkdir ", path));
  }
  RETURN_IF_ERROR(MakeDirs(parent, mode));
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, StrCat("mkdir ", path));
  }
  return OkStatus();
}

Status RemoveAll(const std::string& path) {
  struct stat st{};
  if (::lstat(path.c_str(), &st) != 0) {
    return errno == ENOENT || errno == ENOTDIR ? OkStatus()
                                               : ErrnoStatus(errno, StrCat("stat ", path));
  }
  return RemoveAt(AT_FDCWD, path, path, st.st_dev);
}

StatusOr<std::vector<std::string>> ListDir(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDONLY | O_DIRECTORY));
  return NamesIn(fd.Release(), path);
}

bool PathExists(const std::string& path) {
  struct stat st{};
  return ::lstat(path.c_str(), &st) == 0;
}

StatusOr<std::string> MakeTempDir(const std::string& parent, std::string_view prefix) {
  std::string path = StrCat(JoinPath(parent, prefix), "XXXXXX");
  if (::mkdtemp(path.data()) == nullptr) {
    return ErrnoStatus(errno, StrCat("mkdir ", path));
  }
  return path;
}

void DiskUsageSum::Add(const struct stat& st) {
  int64_t bytes = int64_t{st.st_blocks} * 512;
  if (st.st_nlink < 2 || S_ISDIR(st.st_mode)) {
    single_ += bytes;
    return;
  }
  File& file = linked_[{st.st_dev, st.st_ino}];
  file.bytes = bytes;
  file.links = st.st_nlink;
  ++file.seen;
}

DiskUsage DiskUsageSum::Total() const {
  DiskUsage total{single_, single_};
  for (const auto& [id, file] : linked_) {
    if (file.seen >= file.links) {
      total.bytes += file.bytes;
      total.own += file.bytes;
    } else {
      total.bytes += file.bytes / static_cast<int64_t>(file.links) * static_cast<int64_t>(file.seen);
    }
  }
  return total;
}

StatusOr<DiskUsage> DiskUsageOf(const std::string& path) {
  DiskUsageSum sum;
  RETURN_IF_ERROR(SumUsage(AT_FDCWD, path, path, &sum));
  return sum.Total();
}

std::string JoinPath(std::string_view a, std::string_view b) {
  if (a.empty()) return std::string(b);
  if (b.empty()) return std::string(a);
  while (a.size() > 1 && a.back() == '/') a.remove_suffix(1);
  while (!b.empty() && b.front() == '/') b.remove_prefix(1);
  return a == "/" ? StrCat("/", b) : StrCat(a, "/", b);
}

std::string CleanPath(std::string_view path) {
  bool rooted = !path.empty() && path.front() == '/';
  std::vector<std::string_view> kept;
  for (std::string_view part : StrSplit(path, '/')) {
    if (part.empty() || part == ".") {
      continue;
    }
    if (part != "..") {
      kept.push_back(part);
    } else if (!kept.empty() && kept.back() != "..") {
      kept.pop_back();
    } else if (!rooted) {
      kept.push_back(part);
    }
  }
  std::string clean = rooted ? "/" : "";
  for (size_t i = 0; i < kept.size(); ++i) {
    if (i > 0) clean.push_back('/');
    clean += kept[i];
  }
  return clean.empty() ? "." : clean;
}

std::string BaseName(std::string_view path) {
  if (path.empty()) return ".";
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  if (path == "/") return "/";
  size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

std::string DirName(std::string_view path) {
  size_t slash = path.rfind('/');
  return CleanPath(slash == std::string_view::npos ? std::string_view(".")
                                                   : path.substr(0, slash + 1));
}

std::string NewId() {
  // 25 base-36 digits of 128 random bits, as the reference's identity package prints them.
  __extension__ using Wide = unsigned __int128;
  Wide value = 0;
  KILN_CHECK(::getrandom(&value, sizeof value, 0) == static_cast<ssize_t>(sizeof value));
  value >>= 1;  // so that 25 digits suffice
  std::string id(25, '0');
  for (size_t i = id.size(); i-- > 0;) {
    auto digit = static_cast<unsigned>(value % 36);
    value /= 36;
    id[i] = static_cast<char>(digit < 10 ? '0' + digit : 'a' + (digit - 10));
  }
  return id;
}

TempDir::~TempDir() {
  if (!path_.empty()) {
    RemoveAll(path_).IgnoreError();
  }
}

}  // namespace kiln
