// Records in memory: loading, making, leasing and removing them. See ref_core.h.
#include "cache/ref_core.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/file.h"
#include "base/log.h"
#include "cache/afar/afar_mount.h"
#include "cache/snapshot/remote_snapshots.h"
#include "cache/snapshot/upper_dir.h"

namespace kiln::cache {

RefState::~RefState() {
  if (core != nullptr) core->Release(record);
}

RefCore::RefCore(const RefStoreOptions& options)
    : table(options.database),
      content(*options.content),
      temp_dir(options.root + "/tmp"),
      options_(options),
      pool_("layers", options.width) {}

RefCore::~RefCore() = default;

Status RefCore::Open() {
  RETURN_IF_ERROR(table.Open());
  RETURN_IF_ERROR(UnmountAll(temp_dir));
  RETURN_IF_ERROR(RemoveAll(temp_dir));
  RETURN_IF_ERROR(MakeDirs(temp_dir, 0700));
  if (options_.remote_snapshots != nullptr) {
    ASSIGN_OR_RETURN(snapshots_, OpenRemoteSnapshots(*options_.remote_snapshots, temp_dir));
  } else {
    ASSIGN_OR_RETURN(SnapshotKind kind, ParseSnapshotKind(options_.snapshotter));
    ASSIGN_OR_RETURN(snapshots_,
                     SnapshotStore::Open(options_.root + "/snapshots", temp_dir, kind));
  }
  OpenAfar();
  boot_id_ = options_.boot_id;
  if (boot_id_.empty()) {
    StatusOr<std::string> id = ReadFile("/proc/sys/kernel/random/boot_id");
    if (id.ok()) boot_id_ = TrimSpace(*id);
  }
  RETURN_IF_ERROR(LoadRecords());
  syncer_ = std::jthread([this](std::stop_token stop) { SyncLoop(std::move(stop)); });
  return OkStatus();
}

// The database names what exists: rows that cannot be true any more go, and so
// does every snapshot that no row names.
void RefCore::DropMissing(std::vector<RecordRow>& rows) {
  std::set<std::string> alive;
  for (const RecordRow& row : rows) alive.insert(row.id);
  for (bool changed = true; changed;) {
    changed = false;
    for (RecordRow& row : rows) {
      if (!alive.contains(row.id)) continue;
      // A frozen tree is somebody's base: what was written to it is the immutable record's.
      bool lost = row.is_mutable && (!row.retain || snapshots_->frozen(row.snapshot));
      for (const std::string& parent : row.parents) {
        lost = lost || (!parent.empty() && !alive.contains(parent));
      }
      bool doubtful = !row.boot.empty() && row.boot != boot_id_;
      if (row.extracted && (doubtful || !snapshots_->Exists(row.snapshot))) {
        bool can_be_made = row.blob.has_value() || row.kind != RecordKind::kLayer;
        lost = lost || !can_be_made;
        row.extracted = false;
        row.boot.clear();
        row.tree_bytes = -1;
      }
      if (lost) {
        alive.erase(row.id);
        changed = true;
      }
    }
  }
  std::erase_if(rows, [&](const RecordRow& row) {
    if (alive.contains(row.id)) return false;
    if (!row.is_mutable) log::Warning("dropping a cache record whose files are gone", {{"id", row.id}});
    table.Remove(row.id);
    return true;
  });
}

Status RefCore::LoadRecords() {
  ASSIGN_OR_RETURN(std::vector<RecordRow> rows, table.LoadAll());
  DropMissing(rows);
  std::lock_guard lock(mutex_);
  std::map<std::string, RecordRow> waiting;
  for (RecordRow& row : rows) waiting.emplace(row.id, std::move(row));
  // Parents first; a cycle cannot be written, and would only stay unloaded.
  for (bool progress = true; progress && !waiting.empty();) {
    progress = false;
    for (auto it = waiting.begin(); it != waiting.end();) {
      std::vector<RecordPtr> parents;
      bool ready = true;
      for (const std::string& id : it->second.parents) {
        auto parent = records_.find(id);
        ready = ready && (id.empty() || parent != records_.end());
        parents.push_back(parent == records_.end() ? nullptr : parent->second);
      }
      if (!ready) {
        ++it;
        continue;
      }
      AddLocked(std::move(it->second), std::move(parents));
      it = waiting.erase(it);
      progress = true;
    }
  }
  for (auto& [id, record] : records_) {
    if (!record->row.equal.empty() && !records_.contains(record->row.equal)) {
      record->row.equal.clear();
    }
  }
  // A folder that was made just before the end of the last process, and whose row
  // does not say so, is as unknown as one without a row.
  std::set<std::string> made;
  for (auto& [id, record] : records_) {
    if (record->row.extracted) made.insert(record->row.snapshot);
  }
  ASSIGN_OR_RETURN(std::vector<std::string> found, snapshots_->List());
  for (const std::string& snapshot : found) {
    if (!made.contains(snapshot)) RETURN_IF_ERROR(snapshots_->Remove(snapshot));
  }
  return snapshots_->Collect();
}

RecordPtr RefCore::AddLocked(RecordRow row, std::vector<RecordPtr> parents) {
  auto record = std::make_shared<Record>();
  record->row = std::move(row);
  record->parents = std::move(parents);
  for (const RecordPtr& parent : record->parents) {
    if (parent == nullptr) continue;
    ++parent->children;
    parent->built_upon = true;
  }
  if (!record->row.snapshot.empty()) ++snapshot_users_[record->row.snapshot];
  records_[record->row.id] = record;
  IndexLocked(record);
  return record;
}

void RefCore::IndexLocked(const RecordPtr& record) {
  if (!record->row.blob || record->row.kind != RecordKind::kLayer || record->row.is_mutable) {
    return;
  }
  std::string chain = BlobChainOf(LayersOf(record));
  if (!chain.empty()) by_blob_chain_[chain].push_back(record);
}

// Identity of a stack of blobs; "" if one of the layers has none yet.
std::string RefCore::BlobChainOf(const std::vector<RecordPtr>& layers) const {
  std::vector<DiffId> chain;
  for (const RecordPtr& layer : layers) {
    if (!layer->row.blob) return "";
    chain.push_back({layer->row.blob->digest});
  }
  return chain.empty() ? "" : ChainId(chain).text();
}

RecordRow RefCore::NewRow(const RecordOptions& options) const {
  RecordRow row;
  row.id = NewId();
  row.description = options.description;
  row.type = options.type;
  row.created = options.created.set() ? options.created : Now();
  return row;
}

void RefCore::Update(const RecordPtr& record, const std::function<void(RecordRow&)>& change) {
  std::lock_guard lock(mutex_);
  change(record->row);
  if (!record->dead) table.Save(record->row);
}

RecordRow RefCore::RowOf(const RecordPtr& record) const {
  std::lock_guard lock(mutex_);
  return record->row;
}

StatePtr RefCore::Lease(const RecordPtr& record, Sources sources) {
  std::lock_guard lock(mutex_);
  ++record->leases;
  return std::make_shared<RefState>(shared_from_this(), record, std::move(sources));
}

void RefCore::Release(const RecordPtr& record) {
  std::string snapshot;
  {
    std::lock_guard lock(mutex_);
    if (--record->leases > 0 || record->dead) return;
    if (record->row.is_mutable && !record->row.retain) {
      snapshot = RemoveLocked(record);
    } else {
      record->row.last_used = Now();
      ++record->row.usage_count;
      table.Save(record->row);
    }
  }
  if (snapshot.empty()) return;
  snapshots_->Remove(snapshot).IgnoreError();  // else at the next start
  ++link_changes_;
}

std::string RefCore::RemoveLocked(RecordPtr record) {
  record->dead = true;
  records_.erase(record->row.id);
  for (const RecordPtr& parent : record->parents) {
    if (parent != nullptr) --parent->children;
  }
  if (auto equal = records_.find(record->row.equal); equal != records_.end()) {
    equal->second->row.equal.clear();
    table.Save(equal->second->row);
  }
  table.Remove(record->row.id);
  const std::string& snapshot = record->row.snapshot;
  if (snapshot.empty() || --snapshot_users_[snapshot] > 0) return "";
  snapshot_users_.erase(snapshot);
  return snapshot;
}

// Breaks the tie to the mutable record that shares the snapshot: from here on the
// tree is somebody's base or export and must never be written again.
void RefCore::FinalizeLocked(const RecordPtr& record) {
  if (record->row.is_mutable || record->row.equal.empty()) return;
  auto equal = records_.find(record->row.equal);
  if (equal == records_.end()) return;
  RecordPtr mutable_record = equal->second;
  table.MoveMetadata(mutable_record->row.id, record->row.id);
  RemoveLocked(mutable_record);
}

std::vector<RecordPtr> RefCore::LayersOf(const RecordPtr& record) {
  std::vector<RecordPtr> layers;
  if (record == nullptr) return layers;
  if (record->row.kind == RecordKind::kDiff) {
    if (IsComputed(*record)) return {record};
    std::vector<RecordPtr> lower = LayersOf(record->parents[0]);
    layers = LayersOf(record->parents[1]);
    layers.erase(layers.begin(), layers.begin() + static_cast<ptrdiff_t>(lower.size()));
    return layers;
  }
  for (const RecordPtr& parent : record->parents) {
    std::vector<RecordPtr> below = LayersOf(parent);
    layers.insert(layers.end(), below.begin(), below.end());
  }
  if (record->row.kind == RecordKind::kLayer) layers.push_back(record);
  return layers;
}

bool RefCore::IsComputed(const Record& record) {
  if (record.row.kind != RecordKind::kDiff) return false;
  std::vector<RecordPtr> lower = LayersOf(record.parents[0]);
  std::vector<RecordPtr> upper = LayersOf(record.parents[1]);
  return lower.size() >= upper.size() || !std::equal(lower.begin(), lower.end(), upper.begin());
}

StatusOr<StatePtr> RefCore::NewMutable(const StatePtr& parent, const RecordOptions& options) {
  std::vector<RecordPtr> parents;
  std::vector<std::string> stack;
  if (parent != nullptr) {
    RETURN_IF_ERROR(Extract(parent, {}));
    parents.push_back(parent->record);
    stack = StackOf(parent->record);
    std::lock_guard lock(mutex_);
    FinalizeLocked(parent->record);
  }
  RecordRow row = NewRow(options);
  row.is_mutable = true;
  row.retain = options.retain;
  row.snapshot = row.id;
  row.extracted = true;
  if (parent != nullptr) row.parents.push_back(parent->record->row.id);
  RETURN_IF_ERROR(snapshots_->Create(row.snapshot, stack));
  std::string id = row.id;
  RecordPtr record;
  {
    std::lock_guard lock(mutex_);
    table.Save(row);
    record = AddLocked(std::move(row), std::move(parents));
    ++record->leases;
  }
  auto state = std::make_shared<RefState>(shared_from_this(), record,
                                          parent != nullptr ? parent->sources : Sources{});
  for (const auto& [key, value] : options.metadata) {
    RETURN_IF_ERROR(table.SetMetadata(id, key, value, true));
  }
  return state;
}

StatusOr<StatePtr> RefCore::Get(std::string_view id) {
  StatePtr state;
  {
    std::lock_guard lock(mutex_);
    auto it = records_.find(id);
    if (it != records_.end() && it->second->row.is_mutable) {
      it = records_.find(it->second->row.equal);
    }
    if (it == records_.end()) return NotFoundError(StrCat(id, ": not found"));
    Sources sources;
    for (const RecordPtr& layer : LayersOf(it->second)) {
      if (std::shared_ptr<BlobSource> source = layer->source.lock()) {
        if (std::find(sources.begin(), sources.end(), source) == sources.end()) {
          sources.push_back(std::move(source));
        }
      }
    }
    ++it->second->leases;
    state = std::make_shared<RefState>(shared_from_this(), it->second, std::move(sources));
  }
  return WithLateSources(std::move(state));
}

StatusOr<StatePtr> RefCore::GetMutable(std::string_view id) {
  RecordPtr record;
  std::string gone;
  RefStore::RemoveCallback on_remove;
  {
    std::lock_guard lock(mutex_);
    auto it = records_.find(id);
    if (it == records_.end() || !it->second->row.is_mutable) {
      return NotFoundError(StrCat(id, ": not found"));
    }
    record = it->second;
    if (record->leases > 0) return UnavailableError(StrCat(id, ": locked"));
    if (auto equal = records_.find(record->row.equal); equal != records_.end()) {
      if (equal->second->leases > 0 || equal->second->children > 0) {
        return UnavailableError(StrCat(id, ": locked"));
      }
      gone = equal->first;
      RemoveLocked(equal->second);
    }
    record->row.tree_bytes = -1;  // about to change
    record->shares_files = false;
    ++record->leases;
    on_remove = on_remove_;
  }
  if (!gone.empty() && on_remove) on_remove(gone, "its tree is written again");
  Sources sources;
  return std::make_shared<RefState>(shared_from_this(), record, std::move(sources));
}

StatusOr<StatePtr> RefCore::Commit(const StatePtr& tree) {
  const RecordPtr& record = tree->record;
  RecordRow before = RowOf(record);
  if (!before.is_mutable) return FailedPreconditionError(StrCat(before.id, ": not mutable"));
  std::optional<DiskUsage> usage;
  if (snapshots_->layered() && !record->parents.empty()) {
    std::vector<std::string> lowers;
    std::vector<std::string> stack = StackOf(record->parents[0]);
    for (auto it = stack.rbegin(); it != stack.rend(); ++it) {
      lowers.push_back(snapshots_->FsDir(*it));
    }
    ASSIGN_OR_RETURN(usage, SettleUpper(snapshots_->FsDir(before.snapshot), lowers));
  }
  if (!before.retain) RETURN_IF_ERROR(snapshots_->Freeze(before.snapshot));
  std::lock_guard lock(mutex_);
  // Files that the tree shared with others may be new ones now.
  if (before.retain || (usage && usage->shares())) ++link_changes_;
  record->row.tree_bytes = -1;
  if (usage && !usage->shares()) record->row.tree_bytes = usage->bytes;
  Unsynced(record->row);
  if (!before.retain) {
    record->row.is_mutable = false;
    table.Save(record->row);
    ++record->leases;
    return std::make_shared<RefState>(shared_from_this(), record, tree->sources);
  }
  RecordRow row = record->row;
  row.id = NewId();
  row.is_mutable = false;
  row.retain = false;
  row.equal = record->row.id;
  row.usage_count = 0;
  row.last_used = Time{};
  record->row.equal = row.id;
  table.Save(row);
  table.Save(record->row);
  RecordPtr frozen = AddLocked(std::move(row), record->parents);
  ++frozen->leases;
  return std::make_shared<RefState>(shared_from_this(), frozen, tree->sources);
}

namespace {

Sources JoinSources(std::initializer_list<const StatePtr*> states) {
  Sources all;
  for (const StatePtr* state : states) {
    if (*state == nullptr) continue;
    for (const std::shared_ptr<BlobSource>& source : (*state)->sources) {
      if (std::find(all.begin(), all.end(), source) == all.end()) all.push_back(source);
    }
  }
  return all;
}

}  // namespace

StatusOr<StatePtr> RefCore::GetByBlob(const Layer& layer, const StatePtr& parent,
                                      const RecordOptions& options,
                                      std::shared_ptr<BlobSource> source) {
  if (layer.blob.digest.empty()) return InvalidArgumentError("layer without a digest");
  Sources sources = JoinSources({&parent});
  if (source != nullptr) sources.push_back(source);
  std::lock_guard lock(mutex_);
  std::vector<RecordPtr> below = LayersOf(parent != nullptr ? parent->record : nullptr);
  std::vector<DiffId> chain;
  for (const RecordPtr& one : below) {
    // A parent that was built here has no blob yet; its id stands for it.
    chain.push_back({one->row.blob ? one->row.blob->digest : Digest::Of(one->row.id)});
  }
  chain.push_back({layer.blob.digest});
  std::string key = ChainId(chain).text();
  for (const std::weak_ptr<Record>& weak : by_blob_chain_[key]) {
    RecordPtr found = weak.lock();
    if (found == nullptr || found->dead) continue;
    if (source != nullptr) found->source = source;
    ++found->leases;
    return std::make_shared<RefState>(shared_from_this(), found, std::move(sources));
  }
  RecordRow row = NewRow(options);
  row.snapshot = row.id;
  row.blob = layer.blob;
  row.blob->platform.reset();
  row.diff_id = layer.diff_id;
  if (row.description.empty()) row.description = layer.description;
  if (!options.created.set() && layer.created.set()) row.created = layer.created;
  std::vector<RecordPtr> parents;
  if (parent != nullptr) {
    FinalizeLocked(parent->record);
    row.parents.push_back(parent->record->row.id);
    parents.push_back(parent->record);
  }
  table.Save(row);
  RecordPtr record = AddLocked(std::move(row), std::move(parents));
  record->source = source;
  ++record->leases;
  return std::make_shared<RefState>(shared_from_this(), record, std::move(sources));
}

StatusOr<StatePtr> RefCore::Merge(const std::vector<StatePtr>& inputs,
                                  const RecordOptions& options) {
  Sources sources;
  std::vector<RecordPtr> parents;
  for (const StatePtr& input : inputs) {
    if (input == nullptr) continue;
    sources = [&] {
      Sources joined = JoinSources({&input});
      joined.insert(joined.end(), sources.begin(), sources.end());
      return joined;
    }();
    // A merge of merges is one merge.
    if (input->record->row.kind == RecordKind::kMerge) {
      parents.insert(parents.end(), input->record->parents.begin(),
                     input->record->parents.end());
    } else {
      parents.push_back(input->record);
    }
  }
  if (parents.empty()) return StatePtr();
  if (parents.size() == 1) return Lease(parents[0], std::move(sources));
  std::lock_guard lock(mutex_);
  RecordRow row = NewRow(options);
  row.kind = RecordKind::kMerge;
  row.snapshot = row.id;
  for (const RecordPtr& parent : parents) {
    FinalizeLocked(parent);
    row.parents.push_back(parent->row.id);
  }
  table.Save(row);
  RecordPtr record = AddLocked(std::move(row), std::move(parents));
  ++record->leases;
  return std::make_shared<RefState>(shared_from_this(), record, std::move(sources));
}

StatusOr<StatePtr> RefCore::Diff(const StatePtr& lower, const StatePtr& upper,
                                 const RecordOptions& options) {
  if (upper != nullptr && lower != nullptr && upper->record == lower->record) return StatePtr();
  if (upper == nullptr && lower == nullptr) return StatePtr();
  Sources sources = JoinSources({&lower, &upper});
  if (lower == nullptr) return Lease(upper->record, std::move(sources));
  std::lock_guard lock(mutex_);
  RecordRow row = NewRow(options);
  row.kind = RecordKind::kDiff;
  row.snapshot = row.id;
  std::vector<RecordPtr> parents;
  for (const StatePtr* side : {&lower, &upper}) {
    if (*side != nullptr) FinalizeLocked((*side)->record);
    row.parents.push_back(*side != nullptr ? (*side)->record->row.id : "");
    parents.push_back(*side != nullptr ? (*side)->record : nullptr);
  }
  table.Save(row);
  RecordPtr record = AddLocked(std::move(row), std::move(parents));
  ++record->leases;
  return std::make_shared<RefState>(shared_from_this(), record, std::move(sources));
}

// Files reach the disk some time after their record: see RecordRow::boot.
void RefCore::Unsynced(RecordRow& row) {
  row.boot = boot_id_;
  unsynced_ = true;
  sync_wake_.notify_one();
}

namespace {

bool SyncFolder(const std::string& folder) {
  if (folder.empty()) {  // somewhere
    ::sync();
    return true;
  }
  StatusOr<UniqueFd> open = OpenFile(folder, O_RDONLY | O_DIRECTORY);
  return open.ok() && ::syncfs(open->get()) == 0;
}

}  // namespace

// Syncs the file system now and then, so that no build has to wait for it.
void RefCore::SyncLoop(std::stop_token stop) {
  constexpr auto kDelay = std::chrono::seconds(15);
  std::unique_lock lock(mutex_);
  while (sync_wake_.wait(lock, stop, [&] { return unsynced_; })) {
    if (sync_wake_.wait_for(lock, stop, kDelay, [] { return false; }) || stop.stop_requested()) {
      return;
    }
    std::vector<RecordPtr> waiting;
    for (const auto& [id, record] : records_) {
      if (!record->row.boot.empty()) waiting.push_back(record);
    }
    unsynced_ = false;
    lock.unlock();
    bool synced = SyncFolder(snapshots_->folder());
    lock.lock();
    for (const RecordPtr& record : waiting) {
      if (!synced || record->dead) continue;
      record->row.boot.clear();
      table.Save(record->row);
    }
  }
}

bool RefCore::Has(std::string_view id) {
  std::lock_guard lock(mutex_);
  return records_.find(std::string(id)) != records_.end();
}

void RefCore::SetOnRemove(RefStore::RemoveCallback callback) {
  std::lock_guard lock(mutex_);
  on_remove_ = std::move(callback);
}

}  // namespace kiln::cache
