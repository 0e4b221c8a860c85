// Reads through RootedTree, so that no link of the tree leads out of it.
#include "control/file_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/pattern.h"
#include "base/rooted.h"
#include "base/strings.h"

namespace kiln::control {
namespace {

// More than a frontend may take into memory at once is an error, not a crash.
constexpr uint64_t kMaxFile = uint64_t{512} << 20;

// Go's os.FileMode bits.
uint32_t GoMode(mode_t mode) {
  uint32_t bits = mode & 0777;
  if (mode & S_ISUID) bits |= 1u << 23;
  if (mode & S_ISGID) bits |= 1u << 22;
  if (mode & S_ISVTX) bits |= 1u << 20;
  switch (mode & S_IFMT) {
    case S_IFDIR: return bits | 1u << 31;
    case S_IFLNK: return bits | 1u << 27;
    case S_IFBLK: return bits | 1u << 26;
    case S_IFCHR: return bits | 1u << 26 | 1u << 21;
    case S_IFIFO: return bits | 1u << 25;
    case S_IFSOCK: return bits | 1u << 24;
    default: return bits;
  }
}

StatusOr<frontend::FileStat> ToStat(int dir, const std::string& name, const struct stat& st) {
  frontend::FileStat out;
  out.path = name;
  out.mode = GoMode(st.st_mode);
  out.uid = st.st_uid;
  out.gid = st.st_gid;
  out.mod_time = st.st_mtim.tv_sec * 1'000'000'000 + st.st_mtim.tv_nsec;
  if (!S_ISDIR(st.st_mode)) out.size = st.st_size;
  if (S_ISLNK(st.st_mode)) {
    std::string target(static_cast<size_t>(st.st_size) + 1, '\0');
    ssize_t size = readlinkat(dir, name.c_str(), target.data(), target.size());
    if (size < 0) return ErrnoStatus(errno, StrCat("readlink ", name));
    out.link_name = target.substr(0, static_cast<size_t>(size));
  }
  return out;
}

Status WithPath(const Status& status, std::string_view call, std::string_view path) {
  // The text is the one after the last colon: paths of ours do not belong in it.
  size_t colon = status.message().rfind(": ");
  std::string text = colon == std::string::npos ? status.message() : status.message().substr(colon + 2);
  return Status(status.code(), StrCat(call, " ", path, ": ", text));
}

}  // namespace

StatusOr<std::string> ReadFileIn(const std::string& root, std::string_view path,
                                 const frontend::ReadFileOptions& options) {
  ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(root));
  // Not blocking, for the open of a pipe.
  auto file = tree.OpenAt(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (!file.ok()) return WithPath(file.status(), "open", path);
  struct stat st;
  if (fstat(file->get(), &st) != 0) return ErrnoStatus(errno, StrCat("stat ", path));
  if (!S_ISREG(st.st_mode)) return UnknownError(StrCat(path, " is not a regular file"));
  int64_t offset = std::clamp<int64_t>(options.offset, 0, st.st_size);
  int64_t want = st.st_size - offset;
  if (options.length > 0) want = std::min(want, options.length);
  if (static_cast<uint64_t>(want) > kMaxFile) {
    return ResourceExhaustedError(StrCat(path, " is too large to be read at once"));
  }
  std::string bytes(static_cast<size_t>(want), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    ssize_t count = pread(file->get(), bytes.data() + done, bytes.size() - done,
                          offset + static_cast<int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, StrCat("read ", path));
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

StatusOr<std::vector<frontend::FileStat>> ReadDirIn(const std::string& root, std::string_view path,
                                                    std::string_view include_pattern) {
  ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(root));
  auto dir = tree.OpenAt(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (!dir.ok()) return WithPath(dir.status(), "lstat", path);
  std::vector<std::string> include;
  if (!include_pattern.empty()) include.emplace_back(include_pattern);
  ASSIGN_OR_RETURN(PatternWalk filter, PatternWalk::Make(include, {}));
  std::vector<frontend::FileStat> entries;
  RETURN_IF_ERROR(WalkTree(dir->get(), [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    bool is_dir = S_ISDIR(entry.st->st_mode);
    if (filter.Visit(entry.path, is_dir) == PatternWalk::Verdict::kKeep) {
      ASSIGN_OR_RETURN(frontend::FileStat stat, ToStat(entry.dir, entry.name, *entry.st));
      entries.push_back(std::move(stat));
    }
    return is_dir ? WalkStep::kSkipDir : WalkStep::kContinue;
  }));
  return entries;
}

StatusOr<frontend::FileStat> StatFileIn(const std::string& root, std::string_view path) {
  ASSIGN_OR_RETURN(RootedTree tree, RootedTree::Open(root));
  auto resolved = tree.Resolve(path);
  if (!resolved.ok()) return WithPath(resolved.status(), "lstat", path);
  auto parent = tree.OpenParent(*resolved);
  if (!parent.ok()) return WithPath(parent.status(), "lstat", path);
  struct stat st;
  if (fstatat(parent->dir.get(), parent->name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, StrCat("lstat ", path));
  }
  auto stat = ToStat(parent->dir.get(), parent->name, st);
  if (stat.ok()) stat->path = BaseName(*resolved);
  return stat;
}

}  // namespace kiln::control
