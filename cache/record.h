// Record: what the RefStore knows of one tree, and its row in the database.
// Internal to cache/; users hold Ref and MutableRef.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/time.h"
#include "cache/database.h"
#include "cache/ref.h"

namespace kiln::cache {

enum class RecordKind { kLayer = 0, kMerge = 1, kDiff = 2 };

// What is kept on disk. A value.
struct RecordRow {
  std::string id;
  RecordKind kind = RecordKind::kLayer;
  std::vector<std::string> parents;  // layer: 0 or 1; diff: lower and upper, "" for none
  bool is_mutable = false;
  bool retain = false;
  std::string equal;     // the mutable record that shares the snapshot with this one, or back
  std::string snapshot;  // may be unmade as long as `extracted` is false
  bool extracted = false;
  std::string description;
  RecordType type = RecordType::kRegular;
  Time created;
  Time last_used;
  int64_t usage_count = 0;
  // Allocated by the snapshot. -1: not yet summed, or it shares files: then see Record.
  int64_t tree_bytes = -1;
  int64_t blob_bytes = 0;   // of the blobs that are in the content store
  std::optional<oci::Descriptor> blob;
  DiffId diff_id;
  // The boot in which the files were written; "" once they were synced to the disk.
  // In a later boot files with such a mark are in doubt and are not used.
  std::string boot;
  std::vector<oci::Descriptor> variants;  // the same layer in other compressions
};

// A layer that is unpacked and waits for those below it.
struct StagedLayer {
  TempDir dir;
  DiffId diff_id;
};

class AfarMount;
struct Record;
using RecordPtr = std::shared_ptr<Record>;

// One record in memory. All but `work` and what never changes is guarded by the
// store's mutex.
struct Record {
  RecordRow row;
  std::vector<RecordPtr> parents;  // never changes; null where the row has ""
  std::weak_ptr<BlobSource> source;
  int leases = 0;
  int children = 0;
  bool built_upon = false;  // has or had a child while this store is open
  bool dead = false;
  std::shared_ptr<AfarMount> afar;  // in place of an unpacked tree; set once
  // Some of its files are names in other trees too, so that what it takes depends on them.
  bool shares_files = false;
  DiskUsage usage;          // if so, as it was when
  uint64_t usage_then = 0;  // the store's count of changes to such files was this,
  Time usage_at;            // and the clock this
  std::mutex work;  // held while the tree is made or packed: single flight
  std::unique_ptr<StagedLayer> staged;  // guarded by `work`
};

// Tables of records, their metadata and named blob leases.
class RecordTable {
 public:
  explicit RecordTable(Database* database) : database_(database) {}
  Status Open();
  StatusOr<std::vector<RecordRow>> LoadAll();
  // Queued; done in order. A kill before the commit is as if it had not been called.
  void Save(RecordRow row);
  void Remove(std::string id);
  // Metadata of `from` that `to` does not have goes over to `to`.
  void MoveMetadata(std::string from, std::string to);

  StatusOr<std::string> GetMetadata(const std::string& id, std::string_view key);  // NOT_FOUND
  Status SetMetadata(const std::string& id, std::string_view key, std::string_view value,
                     bool searchable);
  StatusOr<std::vector<std::string>> Find(std::string_view key, std::string_view value);

  Status KeepBlobs(std::string_view owner, const std::vector<Digest>& blobs);
  Status DropBlobs(std::string_view owner);
  StatusOr<std::vector<Digest>> KeptBlobs();
  Status Flush() { return database_->Flush(); }

 private:
  StatusOr<std::string> ReadMetadata(const std::string& id, std::string_view key);
  Database* database_;
  // Moves of metadata that were asked for, and those known to be committed.
  std::atomic<uint64_t> moves_{0};
  std::atomic<uint64_t> moves_done_{0};
};

}  // namespace kiln::cache
