// See order_check.h.
#include "api/fsutil/order_check.h"

#include <algorithm>
#include <climits>

#include "base/file.h"

namespace kiln::api {
namespace {

Status BadPath(std::string_view what, const std::string& path) {
  return UnknownError(StrCat(what, " ", path, ": invalid argument"));
}

}  // namespace

Status OrderCheck::Count(const FsStat& stat) {
  if (++entries_ > most_entries_) {
    return ResourceExhaustedError(StrCat("transfer of more than ", most_entries_, " entries"));
  }
  bytes_ += stat.path.size() + stat.link_name.size();
  for (const auto& [name, value] : stat.xattrs) bytes_ += name.size() + value.size();
  if (bytes_ <= most_bytes_) return OkStatus();
  return ResourceExhaustedError(
      StrCat("transfer with more than ", most_bytes_, " bytes of names and attributes"));
}

Status OrderCheck::Next(const FsStat& stat) {
  RETURN_IF_ERROR(Count(stat));
  const std::string& path = stat.path;
  // What no call of the system takes is not cleaned, kept and printed either.
  if (path.size() >= PATH_MAX || stat.link_name.size() >= PATH_MAX) {
    return BadPath("path of", StrCat(std::max(path.size(), stat.link_name.size()), " bytes"));
  }
  if (path.empty() || path == "." || path != CleanPath(path) ||
      Contains(path, std::string_view("\0", 1))) {
    return BadPath("unclean path", path);
  }
  if (path.front() == '/') return BadPath("absolute path", path);
  if (path == ".." || path.starts_with("../")) return BadPath("escape check", path);
  if (stat.size < 0) return BadPath("negative size", path);
  std::string dir = DirName(path);
  if (dir == ".") dir.clear();
  std::string base = BaseName(path);
  while (folders_.size() > 1 && ComparePaths(folders_.back().path, dir) > 0) folders_.pop_back();
  // Siblings that sort before `dir` are behind us as well.
  while (folders_.size() > 1 && folders_.back().path != dir &&
         !dir.starts_with(folders_.back().path + "/")) {
    folders_.pop_back();
  }
  Folder& folder = folders_.back();
  if (folder.path != dir || folder.last >= base) {
    return UnknownError(StrCat("changes out of order: ", Quote(path), " ",
                               Quote(JoinPath(folder.path, folder.last))));
  }
  folder.last = base;
  if (stat.is_dir()) {
    folders_.push_back({path, ""});
    return OkStatus();
  }
  if (stat.is_symlink()) return OkStatus();
  std::hash<std::string> hash;
  if (stat.link_name.empty()) {
    seen_.insert(hash(path));
  } else if (!seen_.contains(hash(stat.link_name))) {
    return UnknownError(
        StrCat("invalid link ", path, " to unknown path: ", Quote(stat.link_name)));
  }
  return OkStatus();
}

}  // namespace kiln::api
