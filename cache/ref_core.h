// RefCore: the state behind RefStore, Ref and MutableRef. Internal to cache/.
//
// One mutex guards the records and is never held over disk or network work;
// Record::work is taken before it, never after. Split over ref_core.cc (records),
// ref_tree.cc (making and mounting trees), ref_afar.cc (layers that are not fetched),
// ref_remote.cc (blobs), prune.cc.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/filter.h"
#include "base/job_pool.h"
#include "cache/record.h"
#include "cache/ref_store.h"
#include "cache/snapshot/snapshot_store.h"

namespace kiln::cache {

class AfarMounts;
class RefCore;
using Sources = std::vector<std::shared_ptr<BlobSource>>;

// A lease on one record. What Ref, MutableRef and mounts hold. Keeps the sources
// alive from which lazy layers of the record and its ancestors can come.
struct RefState {
  RefState(std::shared_ptr<RefCore> core_in, RecordPtr record_in, Sources sources_in)
      : core(std::move(core_in)), record(std::move(record_in)), sources(std::move(sources_in)) {}
  ~RefState();  // gives the lease back
  RefState(const RefState&) = delete;
  RefState& operator=(const RefState&) = delete;

  const std::shared_ptr<RefCore> core;
  const RecordPtr record;
  const Sources sources;
};
using StatePtr = std::shared_ptr<RefState>;

// Thread-safe.
class RefCore : public std::enable_shared_from_this<RefCore> {
 public:
  explicit RefCore(const RefStoreOptions& options);
  ~RefCore();
  Status Open();

  // ref_core.cc
  StatusOr<StatePtr> NewMutable(const StatePtr& parent, const RecordOptions& options);
  StatusOr<StatePtr> Get(std::string_view id);
  StatusOr<StatePtr> GetMutable(std::string_view id);
  StatusOr<StatePtr> GetByBlob(const Layer& layer, const StatePtr& parent,
                               const RecordOptions& options, std::shared_ptr<BlobSource> source);
  StatusOr<StatePtr> Merge(const std::vector<StatePtr>& inputs, const RecordOptions& options);
  StatusOr<StatePtr> Diff(const StatePtr& lower, const StatePtr& upper,
                          const RecordOptions& options);
  StatusOr<StatePtr> Commit(const StatePtr& tree);
  StatePtr Lease(const RecordPtr& record, Sources sources);
  void Release(const RecordPtr& record);
  // Layers of a record, lowest first: ancestors for a layer, all inputs for a merge.
  static std::vector<RecordPtr> LayersOf(const RecordPtr& record);
  // A diff that is no suffix of its upper chain, and so has a tree of its own.
  static bool IsComputed(const Record& record);

  // ref_tree.cc
  StatusOr<MountLease> Mount(const StatePtr& state, bool readonly, std::stop_token stop);
  Status Extract(const StatePtr& state, std::stop_token stop);
  Status ExtractRecord(const RecordPtr& record, const Sources& sources, std::stop_token stop);
  bool IsLazy(const RecordPtr& record);
  // Blobs and tree. Not `exact`: of files that trees share, it may be a minute old.
  StatusOr<DiskUsage> SizeOf(const RecordPtr& record, bool exact = true);
  void SharesFiles(const RecordPtr& record);

  // ref_remote.cc
  StatusOr<Remote> GetRemote(const StatePtr& state, bool create,
                             const CompressionOptions& compression, std::stop_token stop);

  // prune.cc
  StatusOr<std::vector<UsageRecord>> Usage(const std::vector<std::string>& filters);
  Status Prune(const PruneOptions& options,
               const std::function<void(const UsageRecord&)>& removed);
  Status SweepBlobs();

  RecordRow RowOf(const RecordPtr& record) const;
  void Update(const RecordPtr& record, const std::function<void(RecordRow&)>& change);

  RecordTable table;
  ContentStore& content;
  const std::string temp_dir;

  void SetOnRemove(RefStore::RemoveCallback callback);
  bool Has(std::string_view id);

 private:
  // ref_core.cc. Names ending in Locked want `mutex_`.
  Status LoadRecords();
  void DropMissing(std::vector<RecordRow>& rows);
  RecordPtr AddLocked(RecordRow row, std::vector<RecordPtr> parents);
  RecordRow NewRow(const RecordOptions& options) const;
  std::string RemoveLocked(RecordPtr record);  // the snapshot that is free now, or ""
  void FinalizeLocked(const RecordPtr& record);
  std::string BlobChainOf(const std::vector<RecordPtr>& layers) const;
  void IndexLocked(const RecordPtr& record);
  void Unsynced(RecordRow& row);
  void SyncLoop(std::stop_token stop);

  // ref_tree.cc
  void KeepSizeLocked(const RecordPtr& record, const DiskUsage& tree, uint64_t changes);
  std::vector<std::string> StackOf(const RecordPtr& record) const;  // snapshots to mount
  bool LacksTree(const RecordPtr& layer) const;
  Status ExtractLayer(const RecordPtr& layer, const Sources& sources, bool waits,
                      std::stop_token stop);
  static void DropStaged(const RecordPtr& layer);
  StatusOr<std::unique_ptr<StagedLayer>> UnpackLayer(const RecordPtr& layer,
                                                     const Sources& sources, std::stop_token stop);
  Status MakeComputed(const RecordPtr& record, const Sources& sources, std::stop_token stop);
  Status MakeWhole(const RecordPtr& record, const Sources& sources, std::stop_token stop);
  StatusOr<std::shared_ptr<BlobReader>> OpenBlob(const oci::Descriptor& blob,
                                                 const Sources& sources);
  Sources NearestLast(const RecordPtr& layer, Sources sources);
  Status PullBlob(const oci::Descriptor& blob, const Sources& sources, std::stop_token stop);
  StatusOr<UnpackedLayer> UnpackInto(const oci::Descriptor& blob, const UnpackTarget& target,
                                     const Sources& sources, std::stop_token stop);
  StatusOr<LocalMount> MountTree(const RecordPtr& record);
  StatusOr<std::vector<std::string>> BareStack(const RecordPtr& record,
                                               std::shared_ptr<void>* lease);
  StatusOr<std::vector<std::string>> MountStack(const RecordPtr& record,
                                                std::shared_ptr<void>* lease);
  Status RunAll(std::vector<std::function<Status()>> jobs);

  // ref_remote.cc
  Status PackLayer(const RecordPtr& layer, const Sources& sources,
                   const CompressionOptions& compression, std::stop_token stop);
  StatusOr<oci::Descriptor> BlobOf(const RecordPtr& layer, const Sources& sources,
                                   const CompressionOptions& compression, std::stop_token stop);

  // ref_afar.cc
  void OpenAfar();
  bool UseFromAfar(const RecordPtr& layer, const Sources& sources, std::stop_token stop);
  StatusOr<StatePtr> WithLateSources(StatePtr state);

  // prune.cc
  StatusOr<std::vector<UsageRecord>> UsageOfAll(bool exact);
  StatusOr<int64_t> PruneOnce(const PruneOptions& options, const Filter& filter,
                              int64_t keep_bytes, int64_t total,
                              const std::function<void(const UsageRecord&)>& removed,
                              std::vector<std::string>* snapshots);
  Status RemoveTrees(std::vector<std::string>* snapshots);

  const RefStoreOptions options_;
  std::unique_ptr<SnapshotStore> snapshots_;
  std::unique_ptr<AfarMounts> afar_;  // null: layers are always fetched
  JobPool pool_;  // jobs here never wait for one another's start

  mutable std::mutex mutex_;
  std::map<std::string, RecordPtr, std::less<>> records_;
  std::map<std::string, int> snapshot_users_;
  std::map<std::string, std::vector<std::weak_ptr<Record>>> by_blob_chain_;
  RefStore::RemoveCallback on_remove_;
  // Counts what may have changed the number of names that files of shared trees have.
  std::atomic<uint64_t> link_changes_{1};

  std::mutex prune_mutex_;

  std::string boot_id_;
  bool unsynced_ = false;  // guarded by mutex_
  std::condition_variable_any sync_wake_;
  std::jthread syncer_;  // last: it uses all the above
};

}  // namespace kiln::cache
