// DiffTrees: what changed between two whole trees, as a change tree.
#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "base/file.h"
#include "base/rooted.h"
#include "cache/snapshot/tree_copy.h"

namespace kiln::cache {
namespace {

StatusOr<std::set<std::string>> NamesOf(int dir) {
  std::set<std::string> names;
  if (dir < 0) return names;
  UniqueFd readable(::openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* stream = readable.valid() ? ::fdopendir(readable.get()) : nullptr;
  if (stream == nullptr) return ErrnoStatus(errno, "open folder");
  readable.Release();
  while (dirent* entry = ::readdir(stream)) {
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) {
      names.insert(entry->d_name);
    }
  }
  ::closedir(stream);
  return names;
}

bool SameBytes(int lower, int upper, const std::string& name) {
  UniqueFd a(::openat(lower, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  UniqueFd b(::openat(upper, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!a.valid() || !b.valid()) return false;
  std::string left(1 << 16, '\0');
  std::string right(1 << 16, '\0');
  for (;;) {
    ssize_t n = ::read(a.get(), left.data(), left.size());
    if (n < 0) return false;
    ssize_t done = 0;
    while (done < n) {
      ssize_t m = ::read(b.get(), right.data() + done, static_cast<size_t>(n - done));
      if (m <= 0) return false;
      done += m;
    }
    if (n == 0) return ::read(b.get(), right.data(), 1) == 0;
    if (std::memcmp(left.data(), right.data(), static_cast<size_t>(n)) != 0) return false;
  }
}

bool SameLink(int lower, int upper, const std::string& name) {
  char left[4096];
  char right[4096];
  ssize_t n = ::readlinkat(lower, name.c_str(), left, sizeof left);
  ssize_t m = ::readlinkat(upper, name.c_str(), right, sizeof right);
  return n >= 0 && n == m && std::memcmp(left, right, static_cast<size_t>(n)) == 0;
}

bool SameMetadata(int lower, const struct stat& a, int upper, const struct stat& b,
                  const std::string& name) {
  if (a.st_mode != b.st_mode || a.st_uid != b.st_uid || a.st_gid != b.st_gid ||
      a.st_rdev != b.st_rdev) {
    return false;
  }
  StatusOr<std::map<std::string, std::string>> left = ReadXattrs(lower, name);
  StatusOr<std::map<std::string, std::string>> right = ReadXattrs(upper, name);
  return left.ok() && right.ok() && *left == *right;
}

// Equal as layers see it: folders by metadata alone, files by time and size, and
// by content where the times have no fraction and so may be made up.
bool SameEntry(int lower, const struct stat& a, int upper, const struct stat& b,
               const std::string& name) {
  if (a.st_dev == b.st_dev && a.st_ino == b.st_ino) return true;
  if (!SameMetadata(lower, a, upper, b, name)) return false;
  if (S_ISDIR(a.st_mode)) return true;
  if (S_ISLNK(a.st_mode)) return SameLink(lower, upper, name);
  if (!S_ISREG(a.st_mode)) return true;
  if (a.st_size != b.st_size || a.st_mtim.tv_sec != b.st_mtim.tv_sec) return false;
  if (a.st_mtim.tv_nsec != 0 || b.st_mtim.tv_nsec != 0) {
    return a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
  }
  return SameBytes(lower, upper, name);
}

class Differ {
 public:
  explicit Differ(int target) : target_{target} {}

  // `out` stays closed until something in this folder has changed.
  struct Folder {
    Folder* parent = nullptr;
    std::string name;
    std::string path;  // of the folder, "" for the root
    int upper = -1;    // the folder that holds it, in the upper tree
    struct stat st{};
    UniqueFd out;
  };

  Status Run(int lower, int upper, Folder& folder) {
    ASSIGN_OR_RETURN(std::set<std::string> before, NamesOf(lower));
    ASSIGN_OR_RETURN(std::set<std::string> after, NamesOf(upper));
    for (const std::string& name : before) {
      if (!after.contains(name)) RETURN_IF_ERROR(Hide(folder, name));
    }
    for (const std::string& name : after) {
      RETURN_IF_ERROR(Compare(before.contains(name) ? lower : -1, upper, folder, name));
    }
    // What was written into it has changed its time.
    if (folder.out.valid() && folder.parent != nullptr) {
      timespec times[2] = {folder.st.st_atim, folder.st.st_mtim};
      ::futimens(folder.out.get(), times);
    }
    return OkStatus();
  }

 private:
  Status Open(Folder& folder) {
    if (folder.out.valid()) return OkStatus();
    RETURN_IF_ERROR(Open(*folder.parent));
    int at = folder.parent->out.get();
    RETURN_IF_ERROR(CopyOne(folder.upper, folder.name, folder.st, at, folder.path, target_));
    folder.out = UniqueFd(::openat(at, folder.name.c_str(),
                                   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    return folder.out.valid() ? OkStatus() : ErrnoStatus(errno, StrCat("open ", folder.path));
  }

  Status Hide(Folder& folder, const std::string& name) {
    RETURN_IF_ERROR(Open(folder));
    if (::mknodat(folder.out.get(), name.c_str(), S_IFCHR, makedev(0, 0)) != 0) {
      return ErrnoStatus(errno, StrCat("whiteout ", folder.path, "/", name));
    }
    return OkStatus();
  }

  Status Compare(int lower, int upper, Folder& folder, const std::string& name) {
    struct stat a{};
    struct stat b{};
    if (::fstatat(upper, name.c_str(), &b, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus(errno, StrCat("lstat ", name));
    }
    bool had = lower >= 0 && ::fstatat(lower, name.c_str(), &a, AT_SYMLINK_NOFOLLOW) == 0;
    std::string path = folder.path.empty() ? name : StrCat(folder.path, "/", name);
    bool same = had && SameEntry(lower, a, upper, b, name);
    if (!S_ISDIR(b.st_mode)) {
      if (same) return OkStatus();
      RETURN_IF_ERROR(Open(folder));
      return CopyOne(upper, name, b, folder.out.get(), path, target_);
    }
    Folder child{&folder, name, path, upper, b, {}};
    if (!same) RETURN_IF_ERROR(Open(child));
    UniqueFd lower_dir;
    if (had && S_ISDIR(a.st_mode)) {
      if (a.st_dev == b.st_dev && a.st_ino == b.st_ino) return OkStatus();
      lower_dir = UniqueFd(::openat(lower, name.c_str(),
                                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    }
    UniqueFd upper_dir(::openat(upper, name.c_str(),
                                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!upper_dir.valid()) return ErrnoStatus(errno, StrCat("open ", path));
    return Run(lower_dir.get(), upper_dir.get(), child);
  }

  CopyTarget target_;
};

}  // namespace

Status DiffTrees(const std::string& lower, const std::string& upper, const std::string& target) {
  UniqueFd before;
  if (!lower.empty()) {
    ASSIGN_OR_RETURN(before, OpenFile(lower, O_RDONLY | O_DIRECTORY));
  }
  ASSIGN_OR_RETURN(UniqueFd after, OpenFile(upper, O_RDONLY | O_DIRECTORY));
  Differ::Folder root;
  ASSIGN_OR_RETURN(root.out, OpenFile(target, O_RDONLY | O_DIRECTORY));
  int out = root.out.get();
  Differ differ(out);
  RETURN_IF_ERROR(differ.Run(before.get(), after.get(), root));
  return CopyRootMetadata(upper, target);
}

}  // namespace kiln::cache
