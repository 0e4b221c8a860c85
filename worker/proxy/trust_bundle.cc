// Files are written beside the bundle and renamed, through the folder that was open from the
// start: where the names lead once a step has run is not ours to follow.
#include "worker/proxy/trust_bundle.h"

#include <fcntl.h>

#include <cstdio>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"

namespace kiln::worker::proxy {
namespace {

// Where Linux distributions keep it, the first that is there counts.
constexpr std::string_view kBundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
};
constexpr std::string_view kBegin = "\n# buildkit proxy CA begin\n";
constexpr std::string_view kEnd = "# buildkit proxy CA end\n";
constexpr uint64_t kMaxBytes = 10 << 20;

std::string Block(const std::string& pem) {
  return StrCat(kBegin, pem, pem.ends_with('\n') ? "" : "\n", kEnd);
}

std::string WithBlock(const std::string& bundle, const std::string& pem) {
  const bool open_line = !bundle.empty() && !bundle.ends_with('\n');
  return StrCat(bundle, open_line ? "\n" : "", Block(pem));
}

// The path of the bundle inside the tree, "" if there is none.
StatusOr<std::string> FindBundle(const RootedTree& tree) {
  for (std::string_view name : kBundles) {
    StatusOr<struct stat> st = tree.Stat(name);
    if (!st.ok() || !S_ISREG(st->st_mode)) continue;
    StatusOr<std::string> path = tree.Resolve(name, /*missing_ok=*/false);
    if (path.ok()) return path;
    return Annotate(path.status(), StrCat("failed to resolve certificate bundle ", name));
  }
  return std::string();
}

StatusOr<std::string> ReadBundle(const RootedTree& tree, const std::string& path) {
  ASSIGN_OR_RETURN(struct stat st, tree.Stat(path));
  if (static_cast<uint64_t>(st.st_size) > kMaxBytes) {
    return FailedPreconditionError(StrCat(path, " exceeds ", kMaxBytes, " bytes"));
  }
  return tree.ReadFile(path, kMaxBytes);
}

Status Fill(int fd, std::string_view text, const struct stat& like, bool same_time) {
  RETURN_IF_ERROR(WriteAll(fd, text));
  if (::fchown(fd, like.st_uid, like.st_gid) != 0) return ErrnoStatus(errno, "chown");
  if (::fchmod(fd, like.st_mode & 07777) != 0) return ErrnoStatus(errno, "chmod");
  const timespec times[] = {like.st_atim, like.st_mtim};
  if (same_time && ::futimens(fd, times) != 0) return ErrnoStatus(errno, "utimens");
  return OkStatus();
}

// Instead of the file at `place`, with its owner and mode.
Status Replace(const RootedTree::Parent& place, std::string_view text, const struct stat& like,
               bool same_time) {
  const std::string temp = StrCat(".buildkit-ca-", NewId());
  const int dir = place.dir.get();
  UniqueFd file(::openat(dir, temp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.valid()) {
    const int error = errno;
    return error == EROFS ? FailedPreconditionError("read-only file system")
                          : ErrnoStatus(error, StrCat("open ", temp));
  }
  Status status = Fill(file.get(), text, like, same_time);
  if (status.ok() && ::renameat(dir, temp.c_str(), dir, place.name.c_str()) != 0) {
    status = ErrnoStatus(errno, StrCat("rename ", temp, " ", place.name));
  }
  if (!status.ok()) ::unlinkat(dir, temp.c_str(), 0);
  return status;
}

// Without what was added, however the rest has changed.
std::string Without(std::string text, const std::string& pem) {
  for (const std::string& part : {Block(pem), pem}) {
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at)) {
      text.erase(at, part.size());
    }
  }
  return text;
}

StatusOr<std::string> ReadAgain(const RootedTree::Parent& place) {
  UniqueFd file(::openat(place.dir.get(), place.name.c_str(),
                         O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, place.name);
  struct stat st = {};
  if (::fstat(file.get(), &st) != 0) return ErrnoStatus(errno, place.name);
  if (!S_ISREG(st.st_mode) || static_cast<uint64_t>(st.st_size) > kMaxBytes) {
    return FailedPreconditionError(StrCat(place.name, " is no bundle any more"));
  }
  std::string text(static_cast<size_t>(st.st_size), '\0');
  size_t got = 0;
  while (got < text.size()) {
    const ssize_t n = ::pread(file.get(), text.data() + got, text.size() - got,
                              static_cast<off_t>(got));
    if (n < 0) return ErrnoStatus(errno, place.name);
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  text.resize(got);
  return text;
}

}  // namespace

StatusOr<TrustBundle::Found> TrustBundle::Find(const RootedTree& tree, const std::string& pem) {
  Found found;
  ASSIGN_OR_RETURN(found.path, FindBundle(tree));
  if (found.path.empty()) return found;
  ASSIGN_OR_RETURN(found.text, ReadBundle(tree, found.path));
  found.text = WithBlock(found.text, pem);
  return found;
}

StatusOr<std::unique_ptr<TrustBundle>> TrustBundle::Add(const RootedTree& tree,
                                                        const std::string& pem) {
  ASSIGN_OR_RETURN(std::string path, FindBundle(tree));
  if (path.empty()) return std::unique_ptr<TrustBundle>();
  std::unique_ptr<TrustBundle> made(new TrustBundle());
  ASSIGN_OR_RETURN(made->original_, ReadBundle(tree, path));
  if (Contains(made->original_, pem)) return std::unique_ptr<TrustBundle>();
  ASSIGN_OR_RETURN(made->before_, tree.Stat(path));
  ASSIGN_OR_RETURN(made->place_, tree.OpenParent(path));
  const std::string written = WithBlock(made->original_, pem);
  RETURN_IF_ERROR(Replace(made->place_, written, made->before_, /*same_time=*/false));
  // From here on there is something to remove.
  made->pem_ = pem;
  made->written_ = written;
  return made;
}

TrustBundle::~TrustBundle() {
  if (pem_.empty()) return;
  Status removed = Remove();
  if (!removed.ok() && !IsNotFound(removed)) {
    log::Warning(StrCat("certificate of the proxy stays in the bundle: ", removed.message()));
  }
}

Status TrustBundle::Remove() const {
  ASSIGN_OR_RETURN(std::string text, ReadAgain(place_));
  if (text == written_) return Replace(place_, original_, before_, /*same_time=*/true);
  const std::string cleaned = Without(text, pem_);
  if (cleaned == text) return OkStatus();
  struct stat now = {};
  if (::fstatat(place_.dir.get(), place_.name.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, place_.name);
  }
  return Replace(place_, cleaned, now, /*same_time=*/false);
}

}  // namespace kiln::worker::proxy
