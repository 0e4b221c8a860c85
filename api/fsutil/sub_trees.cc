// Several trees side by side, each under a folder of its own.
#include <algorithm>
#include <cerrno>

#include "api/fsutil/fs_tree.h"

namespace kiln::api {
namespace {

class SubTrees final : public FsTree {
 public:
  explicit SubTrees(std::vector<SubTree> trees) : trees_(std::move(trees)) {}

  Status Walk(const std::function<Status(const FsStat&)>& visit) override {
    for (SubTree& sub : trees_) {
      RETURN_IF_ERROR(visit(sub.stat));
      RETURN_IF_ERROR(sub.tree->Walk([&](const FsStat& inner) {
        FsStat stat = inner;
        stat.path = StrCat(sub.stat.path, "/", inner.path);
        if (!stat.link_name.empty() && !stat.is_symlink()) {
          stat.link_name = StrCat(sub.stat.path, "/", inner.link_name);
        } else if (stat.link_name.starts_with('/')) {
          stat.link_name = StrCat("/", sub.stat.path, inner.link_name);
        }
        return visit(stat);
      }));
    }
    return OkStatus();
  }

  StatusOr<std::unique_ptr<FsFile>> Open(std::string_view path) override {
    std::string_view top;
    std::string_view rest;
    StrCut(path, "/", &top, &rest);
    for (SubTree& sub : trees_) {
      if (sub.stat.path == top) return sub.tree->Open(rest);
    }
    return ErrnoStatus(ENOENT, StrCat("open ", path));
  }

 private:
  std::vector<SubTree> trees_;
};

}  // namespace

StatusOr<std::unique_ptr<FsTree>> MakeSubTrees(std::vector<SubTree> trees) {
  std::sort(trees.begin(), trees.end(),
            [](const SubTree& a, const SubTree& b) { return a.stat.path < b.stat.path; });
  for (size_t i = 0; i < trees.size(); ++i) {
    const std::string& name = trees[i].stat.path;
    if (name.empty() || name == "." || name == ".." || Contains(name, "/")) {
      return ErrnoStatus(EISDIR, StrCat("invalid path ", name));
    }
    if (!trees[i].stat.is_dir()) return ErrnoStatus(ENOTDIR, StrCat("walk subdir ", name));
    if (i > 0 && trees[i - 1].stat.path == name) {
      return ErrnoStatus(EEXIST, StrCat("duplicate path ", name));
    }
  }
  return std::unique_ptr<FsTree>(new SubTrees(std::move(trees)));
}

}  // namespace kiln::api
