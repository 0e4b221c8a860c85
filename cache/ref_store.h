// RefStore: all records of one worker: trees, their blobs, their sizes.
//
// Owns the snapshot store; shares the content store and the database. What a
// record is to a user (du, prune) is here; what leads to it (cache keys) is
// cache/index.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cache/layer_codec.h"
#include "cache/ref.h"

namespace kiln::cache {

class Database;
class Snapshotter;

struct RefStoreOptions {
  std::string root;                       // holds snapshots/ and tmp/
  // overlayfs | native | fuse-overlayfs | stargz: overlayfs, and layers that can be are used from
  // where they are (cache/afar).
  std::string snapshotter = "overlayfs";
  // Blobs of a repository ("registry.example/path"), for such layers when their build is over;
  // may give null. What it gives lives no longer than the store.
  std::function<std::shared_ptr<BlobSource>(const std::string& repository)> late_blobs = {};
  // Who keeps the snapshots instead of the store itself; outlives the store and every Ref.
  Snapshotter* remote_snapshots = nullptr;
  ContentStore* content = nullptr;        // both outlive the store and every Ref
  Database* database = nullptr;
  LayerCodec codec = {};                  // empty: OciLayerCodec()
  size_t width = 4;                       // layers packed or unpacked at a time
  std::string boot_id = {};               // empty: the machine's
};

// One line of `du`. Sizes in bytes.
struct UsageRecord {
  std::string id;
  bool is_mutable = false;
  bool in_use = false;
  int64_t size = 0;
  std::vector<std::string> parents;
  Time created;
  Time last_used;
  int64_t usage_count = 0;
  std::string description;
  RecordType type = RecordType::kRegular;
  bool shared = false;
};

struct PruneOptions {
  std::vector<std::string> filters = {};  // containerd filter expressions, any may match
  bool all = false;                       // also internal and frontend records
  int64_t keep_duration_nanos = 0;
  int64_t reserved_bytes = 0;
  int64_t max_used_bytes = 0;
  int64_t min_free_bytes = 0;
};

// Thread-safe. Blocking.
class RefStore {
 public:
  static StatusOr<std::unique_ptr<RefStore>> Open(const RefStoreOptions& options);
  virtual ~RefStore() = default;

  // A new tree over `parent` (empty: over nothing).
  virtual StatusOr<MutableRef> NewMutable(const Ref& parent, const RecordOptions& options) = 0;
  // NOT_FOUND if the record, or anything that it needs, is gone.
  virtual StatusOr<Ref> Get(std::string_view id) = 0;
  // NOT_FOUND; UNAVAILABLE ("locked") while somebody holds it.
  virtual StatusOr<MutableRef> GetMutable(std::string_view id) = 0;
  // The record for `layer` on top of `parent`; lazy, bytes come from `source` when
  // wanted. An equal layer on an equal parent (by ChainID) gives the record that exists.
  virtual StatusOr<Ref> GetByBlob(const Layer& layer, const Ref& parent,
                                  const RecordOptions& options,
                                  std::shared_ptr<BlobSource> source) = 0;
  // The union of trees, later ones on top; the changes from `lower` to `upper`.
  virtual StatusOr<Ref> Merge(const std::vector<const Ref*>& inputs,
                              const RecordOptions& options) = 0;
  virtual StatusOr<Ref> Diff(const Ref& lower, const Ref& upper,
                             const RecordOptions& options) = 0;

  // Ids of records whose searchable metadata `key` equals `value`.
  virtual StatusOr<std::vector<std::string>> Find(std::string_view key, std::string_view value) = 0;

  virtual StatusOr<std::vector<UsageRecord>> Usage(const std::vector<std::string>& filters) = 0;
  // Deletes what the options allow, `removed` called per record. Nothing in use goes.
  virtual Status Prune(const PruneOptions& options,
                       const std::function<void(const UsageRecord&)>& removed) = 0;
  // Blobs that no record names but that are to stay until dropped (build history).
  virtual Status KeepBlobs(std::string_view owner, const std::vector<Digest>& blobs) = 0;
  virtual Status DropBlobs(std::string_view owner) = 0;
  virtual bool Has(std::string_view id) = 0;
  // Called for each id about to go, so that cache keys can be dropped first. `rule`
  // says to people which prune it was.
  using RemoveCallback = std::function<void(std::string_view id, std::string_view rule)>;
  virtual void OnRemove(RemoveCallback callback) = 0;

  virtual ContentStore& content() = 0;
  virtual const std::string& temp_dir() const = 0;  // on the same file system, emptied at start
};

}  // namespace kiln::cache
