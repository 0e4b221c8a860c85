// WriteOverlayDiff and WriteTreeDiff: which entries of a tree are changes, in the
// reference's order. How a change becomes an entry is layer_writer.cc.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/rooted.h"
#include "oci/layer.h"
#include "oci/layer_writer.h"

namespace kiln::oci {
namespace {

using Kind = LayerWriter::Kind;

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

bool IsWhiteoutDevice(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

StatusOr<std::vector<std::string>> SortedNames(int dir) {
  std::vector<std::string> names;
  if (dir < 0) return names;
  UniqueFd own(::openat(dir, ".", kOpenDir));
  DIR* stream = own.valid() ? ::fdopendir(own.get()) : nullptr;
  if (stream == nullptr) return ErrnoStatus(errno, "open folder of layer");
  own.Release();
  while (dirent* entry = ::readdir(stream)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

StatusOr<bool> SameContent(int dir_a, int dir_b, const std::string& name) {
  UniqueFd a(::openat(dir_a, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  UniqueFd b(::openat(dir_b, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!a.valid() || !b.valid()) return ErrnoStatus(errno, StrCat("open ", name));
  std::string left(64 << 10, '\0'), right(64 << 10, '\0');
  for (off_t offset = 0;;) {
    ssize_t n = ::pread(a.get(), left.data(), left.size(), offset);
    ssize_t m = ::pread(b.get(), right.data(), right.size(), offset);
    if (n < 0 || m < 0) return ErrnoStatus(errno, StrCat("read ", name));
    if (n != m || std::memcmp(left.data(), right.data(), static_cast<size_t>(n)) != 0) return false;
    if (n == 0) return true;
    offset += n;
  }
}

StatusOr<bool> SameLink(int dir_a, int dir_b, const std::string& name) {
  char left[4096], right[4096];
  ssize_t n = ::readlinkat(dir_a, name.c_str(), left, sizeof left);
  ssize_t m = ::readlinkat(dir_b, name.c_str(), right, sizeof right);
  if (n < 0 || m < 0) return ErrnoStatus(errno, StrCat("readlink ", name));
  return n == m && std::memcmp(left, right, static_cast<size_t>(n)) == 0;
}

// The reference's rule: metadata, and the content only where times may have been cut to
// seconds on both sides.
StatusOr<bool> SameEntry(int dir_a, const struct stat& a, int dir_b, const struct stat& b,
                         const std::string& name) {
  if (a.st_dev == b.st_dev && a.st_ino == b.st_ino) return true;
  if (a.st_mode != b.st_mode || a.st_uid != b.st_uid || a.st_gid != b.st_gid ||
      a.st_rdev != b.st_rdev) {
    return false;
  }
  ASSIGN_OR_RETURN(std::string caps_a, ReadXattr(dir_a, name, "security.capability"));
  ASSIGN_OR_RETURN(std::string caps_b, ReadXattr(dir_b, name, "security.capability"));
  if (caps_a != caps_b) return false;
  if (S_ISDIR(a.st_mode)) return true;
  if (a.st_size != b.st_size || a.st_mtim.tv_sec != b.st_mtim.tv_sec) return false;
  if (a.st_mtim.tv_nsec != 0 || b.st_mtim.tv_nsec != 0) {
    return a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
  }
  if (S_ISLNK(a.st_mode)) return SameLink(dir_a, dir_b, name);
  if (a.st_size == 0) return true;
  return SameContent(dir_a, dir_b, name);
}

// An entry of the lower tree, if it has one of that name.
struct Lower {
  bool exists = false;
  struct stat st{};
  bool folder() const { return exists && S_ISDIR(st.st_mode); }
};

StatusOr<Lower> LookBelow(int dir, const std::string& name, const std::string& path) {
  Lower lower;
  if (dir < 0) return lower;
  if (::fstatat(dir, name.c_str(), &lower.st, AT_SYMLINK_NOFOLLOW) == 0) {
    lower.exists = true;
  } else if (errno != ENOENT) {
    return ErrnoStatus(errno, StrCat("lstat ", path));
  }
  return lower;
}

class Differ {
 public:
  Differ(LayerWriter& writer, std::stop_token stop) : writer_(writer), stop_(std::move(stop)) {}

  // Everything in the upper directory is a change, but for folders that are there only
  // because something in them changed.
  Status Overlay(int lower, int upper, const std::string& prefix);
  // Compares name by name. `hide_whiteouts`: below an opaque folder of an upper directory,
  // where whiteout devices stand for nothing.
  Status Trees(int lower, int upper, const std::string& prefix, bool hide_whiteouts);

 private:
  Status OverlayEntry(int lower_dir, int upper, const std::string& name, const std::string& path);
  Status TreeEntry(int lower_dir, int upper, const std::string& name, const std::string& path,
                   bool hide_whiteouts);
  Status Descend(int lower_dir, const Lower& below, int upper, const std::string& name,
                 const std::string& path, const struct stat& st,
                 const std::function<Status(int, int, const std::string&)>& into);
  Status Stopped() const {
    return stop_.stop_requested() ? CancelledError("context canceled") : OkStatus();
  }

  LayerWriter& writer_;
  std::stop_token stop_;
};

Status Differ::Descend(int lower_dir, const Lower& below, int upper, const std::string& name,
                       const std::string& path, const struct stat& st,
                       const std::function<Status(int, int, const std::string&)>& into) {
  UniqueFd dir(::openat(upper, name.c_str(), kOpenDir));
  if (!dir.valid()) return ErrnoStatus(errno, StrCat("open ", path));
  UniqueFd under;
  if (below.folder()) {
    under = UniqueFd(::openat(lower_dir, name.c_str(), kOpenDir));
    if (!under.valid()) return ErrnoStatus(errno, StrCat("open ", path));
  }
  writer_.EnterFolder(path, dir.get(), st);
  Status status = into(under.get(), dir.get(), StrCat(path, "/"));
  writer_.LeaveFolder();
  return status;
}

Status Differ::OverlayEntry(int lower_dir, int upper, const std::string& name,
                            const std::string& path) {
  struct stat st{};
  if (::fstatat(upper, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, StrCat("lstat ", path));
  }
  ASSIGN_OR_RETURN(Lower below, LookBelow(lower_dir, name, path));
  if (IsWhiteoutDevice(st)) return below.exists ? writer_.Deleted(path) : OkStatus();
  bool folder = S_ISDIR(st.st_mode), opaque = false;
  if (folder) {
    ASSIGN_OR_RETURN(std::string redirect, ReadXattr(upper, name, "trusted.overlay.redirect"));
    if (!redirect.empty()) {
      return UnimplementedError(
          "redirect_dir is used but it's not supported in overlayfs differ");
    }
    for (const char* key : {"trusted.overlay.opaque", "user.overlay.opaque"}) {
      ASSIGN_OR_RETURN(std::string mark, ReadXattr(upper, name, key));
      opaque = opaque || mark == "y";
    }
  }
  bool same = false;
  if (below.exists) {
    ASSIGN_OR_RETURN(same, SameEntry(lower_dir, below.st, upper, st, name));
  }
  if (!same) RETURN_IF_ERROR(writer_.Changed(Kind::kChanged, path, upper, name, st));
  if (!folder) return OkStatus();
  bool compare = opaque && below.exists;
  return Descend(lower_dir, below, upper, name, path, st,
                 [&](int under, int dir, const std::string& prefix) {
                   return compare ? Trees(under, dir, prefix, true) : Overlay(under, dir, prefix);
                 });
}

Status Differ::Overlay(int lower, int upper, const std::string& prefix) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, SortedNames(upper));
  for (const std::string& name : names) {
    RETURN_IF_ERROR(Stopped());
    RETURN_IF_ERROR(OverlayEntry(lower, upper, name, StrCat(prefix, name)));
  }
  return OkStatus();
}

Status Differ::TreeEntry(int lower_dir, int upper, const std::string& name,
                         const std::string& path, bool hide_whiteouts) {
  ASSIGN_OR_RETURN(Lower below, LookBelow(lower_dir, name, path));
  struct stat st{};
  bool exists = ::fstatat(upper, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
  if (!exists && errno != ENOENT) return ErrnoStatus(errno, StrCat("lstat ", path));
  if (exists && hide_whiteouts && IsWhiteoutDevice(st)) exists = false;
  if (!exists) return below.exists ? writer_.Deleted(path) : OkStatus();
  bool same = false;
  if (below.exists) {
    ASSIGN_OR_RETURN(same, SameEntry(lower_dir, below.st, upper, st, name));
  }
  bool linked = !S_ISDIR(st.st_mode) && st.st_nlink > 1;
  if (!same || linked) {
    Kind kind = same ? Kind::kUnmodified : Kind::kChanged;
    RETURN_IF_ERROR(writer_.Changed(kind, path, upper, name, st));
  }
  if (!S_ISDIR(st.st_mode)) return OkStatus();
  return Descend(lower_dir, below, upper, name, path, st,
                 [&](int under, int dir, const std::string& prefix) {
                   return Trees(under, dir, prefix, hide_whiteouts);
                 });
}

Status Differ::Trees(int lower, int upper, const std::string& prefix, bool hide_whiteouts) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, SortedNames(upper));
  ASSIGN_OR_RETURN(std::vector<std::string> below, SortedNames(lower));
  std::vector<std::string> all;
  std::set_union(names.begin(), names.end(), below.begin(), below.end(), std::back_inserter(all));
  for (const std::string& name : all) {
    RETURN_IF_ERROR(Stopped());
    RETURN_IF_ERROR(TreeEntry(lower, upper, name, StrCat(prefix, name), hide_whiteouts));
  }
  return OkStatus();
}

StatusOr<WrittenDiff> WriteDiff(const std::string& lower, const std::string& upper,
                                const WriteFn& out, std::stop_token stop, bool overlay) {
  ASSIGN_OR_RETURN(UniqueFd upper_fd, OpenFile(upper, O_RDONLY | O_DIRECTORY));
  UniqueFd lower_fd;
  if (!lower.empty()) {
    ASSIGN_OR_RETURN(lower_fd, OpenFile(lower, O_RDONLY | O_DIRECTORY));
  }
  WrittenDiff written;
  Sha256 hash;
  LayerWriter writer([&](std::string_view bytes) {
    hash.Update(bytes);
    written.tar_bytes += static_cast<int64_t>(bytes.size());
    return out(bytes);
  });
  Differ differ(writer, std::move(stop));
  RETURN_IF_ERROR(overlay ? differ.Overlay(lower_fd.get(), upper_fd.get(), "")
                          : differ.Trees(lower_fd.get(), upper_fd.get(), "", false));
  RETURN_IF_ERROR(writer.Close());
  written.diff_id = DiffId{hash.Finish()};
  return written;
}

}  // namespace

StatusOr<WrittenDiff> WriteOverlayDiff(const std::string& lower, const std::string& upper,
                                       const WriteFn& out, std::stop_token stop) {
  return WriteDiff(lower, upper, out, std::move(stop), true);
}

StatusOr<WrittenDiff> WriteTreeDiff(const std::string& lower, const std::string& upper,
                                    const WriteFn& out, std::stop_token stop) {
  return WriteDiff(lower, upper, out, std::move(stop), false);
}

}  // namespace kiln::oci
