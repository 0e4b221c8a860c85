// A tree with a few files in memory laid over it.
#include <algorithm>
#include <cstring>

#include "api/fsutil/fs_tree.h"

namespace kiln::api {
namespace {

class MemoryFile final : public FsFile {
 public:
  explicit MemoryFile(std::string_view bytes) : rest_(bytes) {}
  StatusOr<size_t> Read(char* buffer, size_t size) override {
    size_t count = std::min(size, rest_.size());
    std::memcpy(buffer, rest_.data(), count);
    rest_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view rest_;
};

class MergedTree final : public FsTree {
 public:
  MergedTree(std::unique_ptr<FsTree> tree, std::vector<ExtraFile> files)
      : tree_(std::move(tree)), files_(std::move(files)) {
    for (ExtraFile& file : files_) file.stat.size = static_cast<int64_t>(file.bytes.size());
    std::sort(files_.begin(), files_.end(), [](const ExtraFile& a, const ExtraFile& b) {
      return ComparePaths(a.stat.path, b.stat.path) < 0;
    });
  }

  Status Walk(const std::function<Status(const FsStat&)>& visit) override {
    auto next = files_.begin();
    RETURN_IF_ERROR(tree_->Walk([&](const FsStat& stat) -> Status {
      while (next != files_.end() && ComparePaths(next->stat.path, stat.path) < 0) {
        RETURN_IF_ERROR(visit((next++)->stat));
      }
      if (next != files_.end() && next->stat.path == stat.path) return visit((next++)->stat);
      return visit(stat);
    }));
    for (; next != files_.end(); ++next) RETURN_IF_ERROR(visit(next->stat));
    return OkStatus();
  }

  StatusOr<std::unique_ptr<FsFile>> Open(std::string_view path) override {
    for (const ExtraFile& file : files_) {
      if (file.stat.path == path) return std::unique_ptr<FsFile>(new MemoryFile(file.bytes));
    }
    return tree_->Open(path);
  }

 private:
  std::unique_ptr<FsTree> tree_;
  std::vector<ExtraFile> files_;
};

}  // namespace

std::unique_ptr<FsTree> MakeMergedTree(std::unique_ptr<FsTree> tree,
                                       std::vector<ExtraFile> files) {
  return std::make_unique<MergedTree>(std::move(tree), std::move(files));
}

}  // namespace kiln::api
