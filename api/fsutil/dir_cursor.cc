// See dir_cursor.h.
#include "api/fsutil/dir_cursor.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace kiln::api {

StatusOr<DirCursor> DirCursor::Open(int dir) {
  DirCursor cursor;
  if (dir < 0) return cursor;
  UniqueFd readable(::openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!readable.valid()) return ErrnoStatus(errno, "failed to walk");
  RETURN_IF_ERROR(cursor.Push(std::move(readable), ""));
  RETURN_IF_ERROR(cursor.FindNext());
  return cursor;
}

Status DirCursor::Push(UniqueFd dir, std::string prefix) {
  DIR* stream = ::fdopendir(::fcntl(dir.get(), F_DUPFD_CLOEXEC, 0));
  if (stream == nullptr) return ErrnoStatus(errno, StrCat("failed to walk: open ", prefix));
  Level level{std::move(dir), std::move(prefix), {}};
  while (dirent* entry = ::readdir(stream)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") level.names.emplace_back(name);
  }
  ::closedir(stream);
  std::sort(level.names.begin(), level.names.end(), std::greater<>());
  levels_.push_back(std::move(level));
  return OkStatus();
}

Status DirCursor::FindNext() {
  current_.reset();
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.names.empty()) {
      levels_.pop_back();
      continue;
    }
    name_ = std::move(level.names.back());
    level.names.pop_back();
    struct stat st{};
    if (::fstatat(level.dir.get(), name_.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return ErrnoStatus(errno, StrCat("failed to walk: lstat ", level.prefix, name_));
    }
    ASSIGN_OR_RETURN(current_,
                     PlainStatOf(level.dir.get(), name_, StrCat(level.prefix, name_), st));
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
      auto [first, is_new] = first_names_.emplace(st.st_ino, current_->path);
      if (!is_new) {
        current_->link_name = first->second;
        current_->size = 0;
      }
    }
    return OkStatus();
  }
  return OkStatus();
}

Status DirCursor::Advance(bool enter) {
  if (enter && current_.has_value() && current_->is_dir()) {
    UniqueFd child(::openat(levels_.back().dir.get(), name_.c_str(),
                            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (child.valid()) {
      RETURN_IF_ERROR(Push(std::move(child), StrCat(current_->path, "/")));
    } else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
      return ErrnoStatus(errno, StrCat("failed to walk: open ", current_->path));
    }
  }
  return FindNext();
}

}  // namespace kiln::api
