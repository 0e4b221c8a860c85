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

struct SharedTree {
  std::mutex mutex;
  bool loaded = false;
  HashTree tree;
};

namespace {

constexpr std::string_view kMetadataKey = "contenthash";
constexpr size_t kTreesInMemory = 20;

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
    Add(id, std::make_shared<SharedTree>());
    return trees_.front().second;
  }
  // For one who is about to change it. Null if it is not in memory.
  std::shared_ptr<SharedTree> Take(const std::string& id) {
    std::lock_guard lock(mutex_);
    std::shared_ptr<SharedTree> taken;
    trees_.remove_if([&](const auto& entry) {
      if (entry.first == id) taken = entry.second;
      return entry.first == id;
    });
    return taken;
  }
  void Put(const std::string& id, std::shared_ptr<SharedTree> tree) {
    std::lock_guard lock(mutex_);
    trees_.remove_if([&](const auto& entry) { return entry.first == id; });
    Add(id, std::move(tree));
  }
  void Forget(const std::string& id) {
    std::lock_guard lock(mutex_);
    trees_.remove_if([&](const auto& entry) { return entry.first == id; });
  }

 private:
  void Add(const std::string& id, std::shared_ptr<SharedTree> tree) {
    trees_.emplace_front(id, std::move(tree));
    if (trees_.size() > kTreesInMemory) trees_.pop_back();
  }

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

// A frozen view of a mutable record has that record's tree until it is written again.
std::string TreeIdOf(const Ref& ref) {
  RecordRow row = ref.state()->core->RowOf(ref.state()->record);
  return row.equal.empty() ? row.id : row.equal;
}

}  // namespace

ContentHashBuilder::ContentHashBuilder(const MutableRef& ref) : shared_(Trees().Take(ref.id())) {
  if (shared_ != nullptr && shared_->loaded) return;
  shared_ = std::make_shared<SharedTree>();
  LoadTree(ref, &shared_->tree);
  shared_->loaded = true;
}

ContentHashBuilder::~ContentHashBuilder() = default;

Status ContentHashBuilder::OnChange(ChangeKind kind, std::string_view path, const FileStat& stat,
                                    const Digest& digest) {
  std::lock_guard lock(mutex_);
  return shared_->tree.OnChange(kind, path, stat, digest);
}

Status ContentHashBuilder::Save(const MutableRef& ref) {
  std::lock_guard lock(mutex_);
  if (shared_->tree.dirty()) {
    RETURN_IF_ERROR(ref.SetMetadata(kMetadataKey, shared_->tree.Save()));
  }
  Trees().Put(ref.id(), shared_);
  return OkStatus();
}

StatusOr<Digest> Checksum(const Ref& ref, std::string_view path, const ChecksumOptions& options,
                          std::stop_token stop) {
  if (ref.empty()) {
    if (path == "/") return Digest::Of("");
    return NotFoundError(StrCat(path, ": no such file or directory"));
  }
  std::shared_ptr<SharedTree> shared = Trees().Get(TreeIdOf(ref));
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
  std::shared_ptr<SharedTree> shared = Trees().Get(TreeIdOf(ref));
  std::lock_guard lock(shared->mutex);
  return shared->loaded ? shared->tree.List(path, options) : std::vector<FileMark>();
}

Status ForgetChecksums(const MutableRef& ref) {
  Trees().Forget(ref.id());
  return ref.SetMetadata(kMetadataKey, "");
}

}  // namespace kiln::cache
