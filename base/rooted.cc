// Resolution inside foreign trees. See rooted.h; the walk and xattrs are in rooted_walk.cc.
#include "base/rooted.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <cerrno>
#include <deque>
#include <vector>

#include "base/file.h"

namespace kiln {
namespace {

constexpr int kMaxLinks = 255;

// openat2 has no wrapper in glibc. EAGAIN means a concurrent rename: try again.
int OpenInRoot(int root, const std::string& path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0;; ++attempt) {
    long fd = ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    if (errno == EINTR || (errno == EAGAIN && attempt < 1000)) continue;
    return -1;
  }
}

// "" becomes ".": openat2 refuses an empty path.
std::string Inside(std::string_view path) { return path.empty() ? "." : std::string(path); }

std::string Shown(std::string_view path) {
  return !path.empty() && path.front() == '/' ? std::string(path) : StrCat("/", path);
}

StatusOr<std::string> LinkText(int dir, const std::string& name, std::string_view shown) {
  std::string text(256, '\0');
  for (;;) {
    ssize_t count = ::readlinkat(dir, name.c_str(), text.data(), text.size());
    if (count < 0) return ErrnoStatus(errno, StrCat("readlink ", shown));
    if (static_cast<size_t>(count) < text.size()) {
      text.resize(static_cast<size_t>(count));
      return text;
    }
    text.resize(text.size() * 2);
  }
}

void PushParts(std::string_view path, std::deque<std::string>& todo) {
  std::vector<std::string_view> parts = StrSplit(path, '/');
  for (auto it = parts.rbegin(); it != parts.rend(); ++it) {
    if (!it->empty() && *it != ".") todo.emplace_front(*it);
  }
}

}  // namespace

StatusOr<RootedTree> RootedTree::Open(const std::string& root) {
  RootedTree tree;
  ASSIGN_OR_RETURN(tree.root_, OpenFile(root, O_PATH | O_DIRECTORY));
  tree.path_ = root;
  return tree;
}

StatusOr<UniqueFd> RootedTree::OpenAt(std::string_view path, int flags, mode_t mode) const {
  int fd = OpenInRoot(root_.get(), Inside(path), flags, mode);
  if (fd < 0) return ErrnoStatus(errno, StrCat("open ", Shown(path)));
  return UniqueFd(fd);
}

StatusOr<RootedTree::Parent> RootedTree::OpenParent(std::string_view path) const {
  // Cleaning would drop "link/.." wrongly, so only slashes and dots at the end go.
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  size_t slash = path.rfind('/');
  std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  std::string_view dir = slash == std::string_view::npos ? "" : path.substr(0, slash + 1);
  Parent parent;
  if (name.empty() || name == "." || name == "..") {
    ASSIGN_OR_RETURN(parent.dir, OpenAt(path, O_PATH | O_DIRECTORY));
    parent.name = ".";
    return parent;
  }
  ASSIGN_OR_RETURN(parent.dir, OpenAt(dir, O_PATH | O_DIRECTORY));
  parent.name = std::string(name);
  return parent;
}

StatusOr<struct stat> RootedTree::Lstat(std::string_view path) const {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(path, O_PATH | O_NOFOLLOW));
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return ErrnoStatus(errno, StrCat("lstat ", Shown(path)));
  return st;
}

StatusOr<struct stat> RootedTree::Stat(std::string_view path) const {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(path, O_PATH));
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return ErrnoStatus(errno, StrCat("stat ", Shown(path)));
  return st;
}

StatusOr<std::string> RootedTree::ReadLink(std::string_view path) const {
  ASSIGN_OR_RETURN(Parent parent, OpenParent(path));
  return LinkText(parent.dir.get(), parent.name, Shown(path));
}

StatusOr<std::string> RootedTree::ReadFile(std::string_view path, uint64_t limit) const {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(path, O_RDONLY | O_NONBLOCK));
  std::string bytes;
  char buffer[65536];
  for (;;) {
    ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count == 0) return bytes;
    if (count < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, StrCat("read ", Shown(path)));
    }
    bytes.append(buffer, static_cast<size_t>(count));
    if (bytes.size() > limit) {
      return ResourceExhaustedError(StrCat("read ", Shown(path), ": larger than ", limit));
    }
  }
}

StatusOr<std::string> RootedTree::Resolve(std::string_view path, bool missing_ok) const {
  std::deque<std::string> todo;
  PushParts(path, todo);
  std::string done;  // "" or "/a/b", free of links
  int links = 0;
  while (!todo.empty()) {
    std::string part = std::move(todo.front());
    todo.pop_front();
    if (part == "..") {
      done.resize(done.empty() ? 0 : done.rfind('/'));
      continue;
    }
    std::string next = StrCat(done, "/", part);
    StatusOr<struct stat> st = Lstat(next);
    if (!st.ok()) {
      if (!missing_ok || !IsNotFound(st.status())) return st.status();
      done = std::move(next);
      continue;
    }
    if (!S_ISLNK(st->st_mode)) {
      done = std::move(next);
      continue;
    }
    if (++links > kMaxLinks) return ErrnoStatus(ELOOP, StrCat("resolve ", Shown(path)));
    ASSIGN_OR_RETURN(std::string target, ReadLink(next));
    if (!target.empty() && target.front() == '/') done.clear();
    PushParts(target, todo);
  }
  return done.empty() ? std::string("/") : done;
}

Status RootedTree::MakeDirs(
    std::string_view path, mode_t mode,
    const std::function<Status(int fd, const std::string& path)>& created) const {
  ASSIGN_OR_RETURN(std::string resolved, Resolve(path));
  UniqueFd dir(::fcntl(root_.get(), F_DUPFD_CLOEXEC, 0));
  std::string at;
  for (std::string_view part : StrSplit(resolved, '/')) {
    if (part.empty()) continue;
    std::string name(part);
    at += StrCat("/", name);
    bool made = ::mkdirat(dir.get(), name.c_str(), mode) == 0;
    if (!made && errno != EEXIST) return ErrnoStatus(errno, StrCat("mkdir ", at));
    UniqueFd next(::openat(dir.get(), name.c_str(),
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next.valid()) return ErrnoStatus(errno, StrCat("mkdir ", at));
    if (made) {
      // The mode is asked for by a user; our umask is not part of it.
      if (::fchmod(next.get(), mode) != 0) return ErrnoStatus(errno, StrCat("chmod ", at));
      if (created) RETURN_IF_ERROR(created(next.get(), at));
    }
    dir = std::move(next);
  }
  return OkStatus();
}

}  // namespace kiln
