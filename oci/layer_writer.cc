// Headers of layer entries. See layer_writer.h.
#include "oci/layer_writer.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/rooted.h"

namespace kiln::oci {
namespace {

constexpr std::string_view kCapability = "security.capability";

StatusOr<TarHeader> HeaderOf(const std::string& path, int dir, const std::string& name,
                             const struct stat& st) {
  TarHeader header;
  header.format = TarHeader::Format::kPax;
  header.name = path;
  header.mode = st.st_mode & 07777;
  header.uid = st.st_uid;
  header.gid = st.st_gid;
  header.mtime.seconds = st.st_mtim.tv_sec;
  switch (st.st_mode & S_IFMT) {
    case S_IFREG: header.size = st.st_size; break;
    case S_IFDIR:
      header.type = '5';
      header.name += '/';
      break;
    case S_IFLNK: {
      header.type = '2';
      header.link_name.resize(static_cast<size_t>(st.st_size) + 4096);
      ssize_t size = ::readlinkat(dir, name.c_str(), header.link_name.data(),
                                  header.link_name.size());
      if (size < 0) return ErrnoStatus(errno, StrCat("readlink ", path));
      header.link_name.resize(static_cast<size_t>(size));
      break;
    }
    case S_IFCHR: header.type = '3'; break;
    case S_IFBLK: header.type = '4'; break;
    case S_IFIFO: header.type = '6'; break;
    default: return InvalidArgumentError(StrCat("archive/tar: unknown file mode of ", path));
  }
  if (header.type == '3' || header.type == '4') {
    header.dev_major = major(st.st_rdev);
    header.dev_minor = minor(st.st_rdev);
  }
  ASSIGN_OR_RETURN(std::string capability, ReadXattr(dir, name, kCapability));
  if (!capability.empty()) header.pax[StrCat("SCHILY.xattr.", kCapability)] = capability;
  return header;
}

}  // namespace

void LayerWriter::EnterFolder(const std::string& path, int fd, const struct stat& st) {
  folders_.push_back({path, fd, st});
}

Status LayerWriter::WriteFolder(const TarHeader& header) {
  if (!written_folders_.insert(header.name).second) return OkStatus();
  return tar_.WriteHeader(header);
}

// Folders above an entry are in the layer even if nothing about them changed.
Status LayerWriter::WriteParents() {
  for (const Folder& folder : folders_) {
    if (written_folders_.contains(StrCat(folder.path, "/"))) continue;
    ASSIGN_OR_RETURN(TarHeader header, HeaderOf(folder.path, folder.fd, ".", folder.st));
    RETURN_IF_ERROR(WriteFolder(header));
  }
  return OkStatus();
}

Status LayerWriter::Deleted(const std::string& path) {
  RETURN_IF_ERROR(WriteParents());
  TarHeader header;
  std::string dir = DirName(path);
  header.name = StrCat(dir == "." ? "" : StrCat(dir, "/"), ".wh.", BaseName(path));
  return tar_.WriteHeader(header);
}

Status LayerWriter::Changed(Kind kind, const std::string& path, int dir, const std::string& name,
                            const struct stat& st) {
  if (S_ISSOCK(st.st_mode)) return OkStatus();
  bool folder = S_ISDIR(st.st_mode);
  std::vector<Waiting> more_names;
  std::string first;
  if (!folder && st.st_nlink > 1) {
    auto known = first_name_.find(st.st_ino);
    if (known != first_name_.end()) {
      first = known->second;
    } else if (kind == Kind::kUnmodified) {
      Waiting waiting{path, {}};
      for (const Folder& above : folders_) {
        ASSIGN_OR_RETURN(TarHeader header, HeaderOf(above.path, above.fd, ".", above.st));
        waiting.parents.push_back(std::move(header));
      }
      waiting_names_[st.st_ino].push_back(std::move(waiting));
      return OkStatus();
    } else {
      first_name_[st.st_ino] = path;
      more_names = std::move(waiting_names_[st.st_ino]);
      waiting_names_.erase(st.st_ino);
    }
  } else if (kind == Kind::kUnmodified) {
    return OkStatus();
  }
  RETURN_IF_ERROR(WriteParents());
  if (folder) written_folders_.insert(StrCat(path, "/"));
  ASSIGN_OR_RETURN(TarHeader header, HeaderOf(path, dir, name, st));
  if (!first.empty()) {
    header.type = '1';
    header.link_name = first;
    header.size = 0;
  }
  RETURN_IF_ERROR(tar_.WriteHeader(header));
  if (header.type == '0' && header.size > 0) RETURN_IF_ERROR(WriteFile(dir, name, header));
  return WriteLinks(std::move(header), more_names);
}

Status LayerWriter::WriteFile(int dir, const std::string& name, const TarHeader& header) {
  UniqueFd file(::openat(dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, StrCat("failed to open path: ", header.name));
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  std::string buffer(static_cast<size_t>(std::min<int64_t>(header.size + 1, 256 << 10)), '\0');
  int64_t total = 0;
  for (;;) {
    ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, StrCat("failed to copy: ", header.name));
    if (count == 0) break;
    total += count;
    RETURN_IF_ERROR(tar_.Write(std::string_view(buffer).substr(0, static_cast<size_t>(count))));
  }
  return total == header.size ? OkStatus() : DataLossError("short write copying file");
}

// Names that were met before the file was known to be changed.
Status LayerWriter::WriteLinks(TarHeader header, const std::vector<Waiting>& names) {
  std::string first = header.name;
  for (const Waiting& waiting : names) {
    for (const TarHeader& parent : waiting.parents) RETURN_IF_ERROR(WriteFolder(parent));
    header.name = waiting.path;
    header.type = '1';
    header.link_name = first;
    header.size = 0;
    RETURN_IF_ERROR(tar_.WriteHeader(header));
  }
  return OkStatus();
}

}  // namespace kiln::oci
