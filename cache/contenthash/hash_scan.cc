// Scans: what a HashTree learns by looking at the files.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/file.h"
#include "cache/contenthash/hash_tree.h"

namespace kiln::cache {

StatusOr<Digest> HashFile(const RootedTree& tree, const std::string& path, FileStat* seen) {
  ASSIGN_OR_RETURN(RootedTree::Parent parent, tree.OpenParent(path));
  struct stat st{};
  if (::fstatat(parent.dir.get(), parent.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, StrCat("lstat ", path));
  }
  FileStat stat;
  stat.mode = GoMode(st.st_mode);
  stat.uid = st.st_uid;
  stat.gid = st.st_gid;
  stat.size = st.st_size;
  // Numbers of devices stay 0 here: a quirk of the reference that keys depend on.
  ASSIGN_OR_RETURN(stat.xattrs, ReadXattrs(parent.dir.get(), parent.name));
  if (S_ISLNK(st.st_mode)) {
    stat.mode |= 0777;
    ASSIGN_OR_RETURN(stat.linkname, tree.ReadLink(path));
  }
  if (seen != nullptr) *seen = stat;
  FileHash hash(stat);
  if (S_ISREG(st.st_mode) && st.st_size > 0) {
    UniqueFd fd(::openat(parent.dir.get(), parent.name.c_str(),
                         O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd.valid()) return ErrnoStatus(errno, StrCat("failed to open ", path));
    std::string buffer(1 << 17, '\0');
    for (;;) {
      ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
      if (count == 0) break;
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return ErrnoStatus(errno, StrCat("failed to copy file data for ", path));
      hash.Update(std::string_view(buffer).substr(0, static_cast<size_t>(count)));
    }
  }
  return hash.Finish();
}

namespace {

// A parent that is in the tree was scanned with all that lies in it.
class KnownFolders {
 public:
  void Add(const std::string& path) {
    std::string clean = Slashed(path);
    if (!Includes(clean)) prefixes_.push_back(std::move(clean));
  }
  bool Includes(const std::string& path) const {
    std::string clean = Slashed(path);
    for (const std::string& prefix : prefixes_) {
      if (clean.starts_with(prefix)) return true;
    }
    return false;
  }

 private:
  static std::string Slashed(const std::string& path) {
    std::string clean = CleanPath(StrCat("/", path));
    return clean == "/" ? clean : clean + "/";
  }
  std::vector<std::string> prefixes_;
};

}  // namespace

StatusOr<bool> HashTree::NeedsScan(const std::string& path, bool follow_last) const {
  KnownFolders known;
  bool parent_known = false;
  auto visit = [&](const std::string& at, const HashRecord* record) {
    if (record == nullptr) {
      parent_known = known.Includes(at);
      return;
    }
    parent_known = record->type != HashRecord::Type::kSymlink;
    known.Add(at);
  };
  ASSIGN_OR_RETURN(Found found, Follow(HashKeyOf(path), follow_last, visit));
  return found.record == nullptr && !parent_known;
}

// The path with its links replaced, each of which is noted in the tree.
StatusOr<std::string> HashTree::ResolveForScan(const RootedTree& tree, std::string_view path,
                                               bool follow_last) {
  std::string current;  // "" or "/a/b"
  std::string rest(path);
  for (int links = 0; !rest.empty();) {
    if (rest.ends_with('/')) rest.pop_back();
    size_t end = rest.find('/');
    std::string part = rest.substr(0, end);
    rest = end == std::string::npos ? "" : rest.substr(end + 1);
    std::string next = CleanPath(StrCat("/", current, "/", part));
    if (next == "/") {
      current.clear();
      continue;
    }
    StatusOr<struct stat> st = tree.Lstat(next);
    if (!st.ok() && !IsNotFound(st.status())) return st.status();
    if (!st.ok() || !S_ISLNK(st->st_mode) || (!follow_last && rest.empty())) {
      current = next;
      continue;
    }
    if (++links > 255) return UnknownError("too many links");
    ASSIGN_OR_RETURN(std::string target, tree.ReadLink(next));
    records_[HashKeyOf(next)] = {HashRecord::Type::kSymlink, {}, target};
    dirty_ = true;
    rest = StrCat(target, "/", rest);
    if (target.starts_with('/')) current.clear();
  }
  return current.empty() ? "/" : current;
}

Status HashTree::ScanFolder(const RootedTree& tree, const std::string& folder) {
  std::string base = folder == "/" ? "" : folder;
  auto add = [&](const std::string& path, bool dir, HashRecord record) {
    std::string key = HashKeyOf(path);
    if (!records_.try_emplace(key, record).second || !dir) return;
    records_[key].type = HashRecord::Type::kDir;
    records_[key + '\0'] = {HashRecord::Type::kDirHeader, {}, {}};
  };
  StatusOr<UniqueFd> fd = tree.OpenAt(folder, O_RDONLY | O_DIRECTORY);
  if (!fd.ok()) return IsNotFound(fd.status()) ? OkStatus() : fd.status();
  dirty_ = true;
  add(base, true, {});
  auto visit = [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    HashRecord record;
    std::string path = StrCat(base, "/", entry.path);
    if (S_ISLNK(entry.st->st_mode)) {
      record.type = HashRecord::Type::kSymlink;
      ASSIGN_OR_RETURN(record.linkname, tree.ReadLink(path));
    }
    add(path, S_ISDIR(entry.st->st_mode), std::move(record));
    return WalkStep::kContinue;
  };
  return WalkTree(fd->get(), visit);
}

// Notes what is at the path: of a folder everything in it, of a file nothing else. Of what
// is neither, the folder that holds it is scanned.
Status HashTree::ScanPath(const Tree& tree, const std::string& path, bool follow_last) {
  ASSIGN_OR_RETURN(const RootedTree* files, tree());
  ASSIGN_OR_RETURN(std::string resolved,
                   ResolveForScan(*files, CleanPath(StrCat("/", path)), follow_last));
  StatusOr<struct stat> st = files->Lstat(resolved);
  if (st.ok() && S_ISREG(st->st_mode)) {
    dirty_ = true;
    records_.try_emplace(HashKeyOf(resolved));
    return OkStatus();
  }
  const bool folder = resolved == "/" || (st.ok() && S_ISDIR(st->st_mode));
  return ScanFolder(*files, folder ? resolved : DirName(resolved));
}

}  // namespace kiln::cache
