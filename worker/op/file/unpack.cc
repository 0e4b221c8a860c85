#include "worker/op/file/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::worker {
namespace {

struct ArchiveFree {
  void operator()(archive* reader) const { ::archive_read_free(reader); }
};
using ArchivePtr = std::unique_ptr<archive, ArchiveFree>;

Status ArchiveStatus(archive* reader) {
  const char* text = ::archive_error_string(reader);
  std::string message = text == nullptr ? "archive cannot be read" : text;
  // An archive that stops early, in the words of the reference.
  if (Contains(ToLower(message), "truncated")) message = "unexpected EOF";
  return UnknownError(std::move(message));
}

// The archive behind `fd`, before its first header.
StatusOr<ArchivePtr> OpenArchive(int fd) {
  ArchivePtr reader(::archive_read_new());
  ::archive_read_support_filter_gzip(reader.get());
  ::archive_read_support_filter_bzip2(reader.get());
  ::archive_read_support_filter_xz(reader.get());
  ::archive_read_support_filter_zstd(reader.get());
  ::archive_read_support_format_tar(reader.get());
  if (::archive_read_open_fd(reader.get(), fd, 128 << 10) != ARCHIVE_OK) {
    return ArchiveStatus(reader.get());
  }
  return reader;
}

// One extraction into an open folder, entry by entry.
class Extraction {
 public:
  Extraction(archive* reader, const RootedTree& root, const std::optional<Owner>& owner)
      : reader_(reader), root_(root), owner_(owner) {}

  Status Run(const std::stop_token& stop) {
    archive_entry* entry = nullptr;
    for (;;) {
      if (stop.stop_requested()) return CancelledError("context canceled");
      int code = ::archive_read_next_header(reader_, &entry);
      if (code == ARCHIVE_EOF) break;
      if (code < ARCHIVE_WARN) return ArchiveStatus(reader_);
      RETURN_IF_ERROR(Extract(entry));
    }
    return RestoreDirTimes();
  }

 private:
  struct DirTime {
    std::string path;
    timespec time;
  };

  Status Extract(archive_entry* entry) {
    const char* raw = ::archive_entry_pathname(entry);
    if (raw == nullptr) return UnknownError("archive entry without a name");
    const std::string path = CleanPath(StrCat("/", raw));
    if (path == "/") return OkStatus();
    RETURN_IF_ERROR(root_.MakeDirs(DirName(path), 0755));
    ASSIGN_OR_RETURN(RootedTree::Parent parent, root_.OpenParent(path));
    const bool is_dir =
        ::archive_entry_hardlink(entry) == nullptr && ::archive_entry_filetype(entry) == AE_IFDIR;
    RETURN_IF_ERROR(MakeRoom(parent, path, is_dir));
    RETURN_IF_ERROR(Create(entry, parent, path));
    return SetAttributes(entry, parent, path, is_dir);
  }

  // What is there goes, except a folder that stays a folder.
  Status MakeRoom(const RootedTree::Parent& parent, const std::string& path, bool is_dir) const {
    struct stat st = {};
    if (::fstatat(parent.dir.get(), parent.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return OkStatus();
    }
    return S_ISDIR(st.st_mode) && is_dir ? OkStatus() : root_.RemoveAll(path);
  }

  Status Create(archive_entry* entry, const RootedTree::Parent& parent, const std::string& path) {
    const int dir = parent.dir.get();
    const char* name = parent.name.c_str();
    int result = 0;
    if (const char* first = ::archive_entry_hardlink(entry); first != nullptr) {
      ASSIGN_OR_RETURN(RootedTree::Parent other, root_.OpenParent(CleanPath(StrCat("/", first))));
      result = ::linkat(other.dir.get(), other.name.c_str(), dir, name, 0);
    } else if (::archive_entry_filetype(entry) == AE_IFREG) {
      return WriteFile(dir, name, path);
    } else if (::archive_entry_filetype(entry) == AE_IFDIR) {
      result = ::mkdirat(dir, name, 0755);
      if (result != 0 && errno == EEXIST) result = 0;
    } else if (::archive_entry_filetype(entry) == AE_IFLNK) {
      const char* text = ::archive_entry_symlink(entry);
      result = ::symlinkat(text == nullptr ? "" : text, dir, name);
    } else {
      result = ::mknodat(dir, name, ::archive_entry_mode(entry), ::archive_entry_rdev(entry));
    }
    return result == 0 ? OkStatus() : ErrnoStatus(errno, StrCat("unpack ", path));
  }

  Status WriteFile(int dir, const char* name, const std::string& path) {
    UniqueFd fd(::openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd.valid()) return ErrnoStatus(errno, StrCat("open ", path));
    const void* block = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    la_int64_t end = 0;
    for (;;) {
      int code = ::archive_read_data_block(reader_, &block, &size, &offset);
      if (code == ARCHIVE_EOF) break;
      if (code < ARCHIVE_WARN) return ArchiveStatus(reader_);
      // Offsets jump where a sparse file has holes.
      if (::lseek(fd.get(), offset, SEEK_SET) < 0) return ErrnoStatus(errno, "seek");
      RETURN_IF_ERROR(WriteAll(fd.get(), {static_cast<const char*>(block), size}));
      end = offset + static_cast<la_int64_t>(size);
    }
    return ::ftruncate(fd.get(), end) == 0 ? OkStatus() : ErrnoStatus(errno, "truncate");
  }

  Status SetAttributes(archive_entry* entry, const RootedTree::Parent& parent,
                       const std::string& path, bool is_dir) {
    const int dir = parent.dir.get();
    Owner owner = owner_.value_or(Owner{static_cast<uint32_t>(::archive_entry_uid(entry)),
                                        static_cast<uint32_t>(::archive_entry_gid(entry))});
    RETURN_IF_ERROR(SetOwner(dir, parent.name, owner, path));
    SetXattrs(entry, parent);
    // The entry of a hard link has attributes of its own, which are the file's from now on.
    struct stat st = {};
    if (::fstatat(dir, parent.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus(errno, StrCat("lstat ", path));
    }
    if (!S_ISLNK(st.st_mode) &&
        ::fchmodat(dir, parent.name.c_str(), ::archive_entry_mode(entry) & 07777, 0) != 0) {
      return ErrnoStatus(errno, StrCat("chmod ", path));
    }
    timespec time = {::archive_entry_mtime(entry), ::archive_entry_mtime_nsec(entry)};
    if (time.tv_sec < 0) time = {};  // as the reference has it
    if (is_dir) {
      dir_times_.push_back({path, time});
      return OkStatus();
    }
    return SetTimes(dir, parent.name, {time, time}, path);
  }

  // Best effort: many file systems take only some of them.
  static void SetXattrs(archive_entry* entry, const RootedTree::Parent& parent) {
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    ::archive_entry_xattr_reset(entry);
    while (::archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
      WriteXattr(parent.dir.get(), parent.name, name,
                 {static_cast<const char*>(value), size}).IgnoreError();
    }
  }

  Status RestoreDirTimes() const {
    for (auto entry = dir_times_.rbegin(); entry != dir_times_.rend(); ++entry) {
      StatusOr<RootedTree::Parent> parent = root_.OpenParent(entry->path);
      if (!parent.ok()) continue;  // replaced by a later entry
      SetTimes(parent->dir.get(), parent->name, {entry->time, entry->time}, entry->path)
          .IgnoreError();
    }
    return OkStatus();
  }

  archive* reader_;
  const RootedTree& root_;
  std::optional<Owner> owner_;
  std::vector<DirTime> dir_times_;
};

// libarchive reads ahead and refuses a damaged gzip stream as a whole; whether it
// begins with a tar header is what decides, as in the reference.
bool IsDamagedGzipTar(int fd) {
  gzFile gzip = ::gzdopen(::dup(fd), "rb");
  if (gzip == nullptr) return false;
  char header[512];
  int count = ::gzread(gzip, header, sizeof header);
  bool compressed = ::gzdirect(gzip) == 0;
  ::gzclose(gzip);
  if (!compressed || count != sizeof header) return false;
  ArchivePtr reader(::archive_read_new());
  ::archive_read_support_format_tar(reader.get());
  archive_entry* entry = nullptr;
  return ::archive_read_open_memory(reader.get(), header, sizeof header) == ARCHIVE_OK &&
         ::archive_read_next_header(reader.get(), &entry) >= ARCHIVE_WARN;
}

}  // namespace

bool IsArchive(const RootedTree& tree, const std::string& path) {
  StatusOr<struct stat> st = tree.Lstat(path);
  if (!st.ok() || !S_ISREG(st->st_mode)) return false;
  StatusOr<UniqueFd> fd = tree.OpenAt(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (!fd.ok()) return false;
  StatusOr<ArchivePtr> reader = OpenArchive(fd->get());
  archive_entry* entry = nullptr;
  if (reader.ok() && ::archive_read_next_header(reader->get(), &entry) >= ARCHIVE_WARN) {
    return entry != nullptr;
  }
  return ::lseek(fd->get(), 0, SEEK_SET) == 0 && IsDamagedGzipTar(fd->get());
}

Status UnpackArchive(const RootedTree& source, const std::string& path, const RootedTree& target,
                     const std::string& to, const std::optional<Owner>& owner,
                     std::stop_token stop) {
  ASSIGN_OR_RETURN(UniqueFd fd, source.OpenAt(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  ASSIGN_OR_RETURN(UniqueFd folder, target.OpenAt(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSIGN_OR_RETURN(RootedTree root, RootedTree::Open(StrCat("/proc/self/fd/", folder.get())));
  ASSIGN_OR_RETURN(ArchivePtr reader, OpenArchive(fd.get()));
  return Extraction(reader.get(), root, owner).Run(stop);
}

}  // namespace kiln::worker
