// Hash trees of records: the few in use in memory, all in the records' metadata.
#include "cache/contenthash/content_hash.h"

#include <list>
#include <mutex>
#include <optional>

#include "base/log.h"
#include "cache/contenthash/content_files.h"
#include "cache/contenthash/hash_tree.h"
#include "cache/ref_core.h"

namespace kiln::cache {
namespace {

constexpr std::string_view kMetadataKey = "contenthash";
constexpr size_t kTreesInMemory = 20;

struct SharedTree {
  std::mutex mutex;
  bool loaded = false;
  HashTree tree;
};

// Least recently used trees by record id; ids are never used again.
class TreeCache {
 public:
  std::shared_ptr<SharedTree> Get(const std::string& id) {
    std::lock_guard lock(mutex_);
    for (auto it = trees_.begin(); it != trees_.end(); ++it) {
      if (it->first != id) continue;
      trees_.splice(trees_.begin(), trees_, it);
      return it->second;
    }
    trees_.emplace_front(id, std::make_shared<SharedTree>());
    if (trees_.size() > kTreesInMemory) trees_.pop_back();
    return trees_.front().second;
  }
  void Forget(const std::string& id) {
    std::lock_guard lock(mutex_);
    trees_.remove_if([&](const auto& entry) { return entry.first == id; });
  }

 private:
  std::mutex mutex_;
  std::list<std::pair<std::string, std::shared_ptr<SharedTree>>> trees_;
};

TreeCache& Trees() {
  static TreeCache* trees = new TreeCache;
  return *trees;
}

template <typename AnyRef>
void LoadTree(const AnyRef& ref, HashTree* tree) {
  StatusOr<std::string> kept = ref.GetMetadata(kMetadataKey);
  if (!kept.ok()) return;
  if (kept->empty()) return;  // forgotten
  if (Status status = tree->Load(*kept); !status.ok()) {
    log::Warning(status.message(), {{"id", ref.id()}});
  }
}

}  // namespace

ContentHashBuilder::ContentHashBuilder(const MutableRef& ref)
    : tree_(std::make_unique<HashTree>()) {
  LoadTree(ref, tree_.get());
}

ContentHashBuilder::~ContentHashBuilder() = default;

Status ContentHashBuilder::OnChange(ChangeKind kind, std::string_view path, const FileStat& stat,
                                    const Digest& digest) {
  std::lock_guard lock(mutex_);
  return tree_->OnChange(kind, path, stat, digest);
}

Status ContentHashBuilder::Save(const MutableRef& ref) {
  std::lock_guard lock(mutex_);
  Trees().Forget(ref.id());
  return ref.SetMetadata(kMetadataKey, tree_->Save());
}

StatusOr<Digest> Checksum(const Ref& ref, std::string_view path, const ChecksumOptions& options,
                          std::stop_token stop) {
  if (ref.empty()) {
    if (path == "/") return Digest::Of("");
    return NotFoundError(StrCat(path, ": no such file or directory"));
  }
  std::shared_ptr<SharedTree> shared = Trees().Get(ref.id());
  std::lock_guard lock(shared->mutex);
  if (!shared->loaded) LoadTree(ref, &shared->tree);
  shared->loaded = true;
  std::optional<LocalMount> mount;
  std::optional<RootedTree> files;
  auto tree = [&]() -> StatusOr<const RootedTree*> {
    if (files) return &*files;
    if (stop.stop_requested()) return CancelledError("context canceled");
    ASSIGN_OR_RETURN(MountLease lease, ref.Mount(true, stop));
    ASSIGN_OR_RETURN(LocalMount mounted,
                     LocalMount::Open(std::move(lease), ref.state()->core->temp_dir));
    mount.emplace(std::move(mounted));
    ASSIGN_OR_RETURN(RootedTree opened, RootedTree::Open(mount->path()));
    files.emplace(std::move(opened));
    return &*files;
  };
  StatusOr<Digest> digest = shared->tree.Checksum(tree, path, options);
  files.reset();
  if (shared->tree.dirty()) {
    ref.SetMetadata(kMetadataKey, shared->tree.Save()).IgnoreError();  // only a later rescan
  }
  return digest;
}

std::vector<FileMark> ListFiles(const Ref& ref, std::string_view path,
                                const ChecksumOptions& options) {
  if (ref.empty()) return {};
  std::shared_ptr<SharedTree> shared = Trees().Get(ref.id());
  std::lock_guard lock(shared->mutex);
  return shared->loaded ? shared->tree.List(path, options) : std::vector<FileMark>();
}

Status ForgetChecksums(const MutableRef& ref) {
  Trees().Forget(ref.id());
  return ref.SetMetadata(kMetadataKey, "");
}

}  // namespace kiln::cache
