// Making trees of records and mounting them: lazy layers, merges, diffs.
#include <chrono>
#include <condition_variable>

#include "base/file.h"
#include "cache/afar/afar_mount.h"
#include "cache/pull_watcher.h"
#include "cache/ref_core.h"
#include "cache/snapshot/deep_stack.h"
#include "cache/snapshot/tree_copy.h"

namespace kiln::cache {
namespace {

Status StopStatus(const std::stop_token& stop) {
  return stop.stop_requested() ? CancelledError("context canceled") : OkStatus();
}

}  // namespace

// Jobs are independent of one another; the caller's thread takes part, so that
// progress never depends on a free thread of the pool.
Status RefCore::RunAll(std::vector<std::function<Status()>> jobs) {
  struct Batch {
    std::mutex mutex;
    std::condition_variable done;
    std::vector<std::function<Status()>> jobs;
    size_t next = 0;
    size_t finished = 0;
    Status status;
    bool RunOne() {
      std::unique_lock lock(mutex);
      if (next == jobs.size()) return false;
      size_t mine = next++;
      bool skip = !status.ok();
      lock.unlock();
      Status result = skip ? OkStatus() : jobs[mine]();
      lock.lock();
      if (status.ok()) status = result;
      if (++finished == jobs.size()) done.notify_all();
      return true;
    }
  };
  if (jobs.size() == 1) return jobs[0]();
  auto batch = std::make_shared<Batch>();
  batch->jobs = std::move(jobs);
  size_t count = batch->jobs.size();
  for (size_t i = 1; i < count; ++i) {
    pool_.Submit([batch] { batch->RunOne(); });
  }
  while (batch->RunOne()) {
  }
  std::unique_lock lock(batch->mutex);
  batch->done.wait(lock, [&] { return batch->finished == count; });
  // A pool thread may still hold the batch; what the jobs captured must not die there.
  std::vector<std::function<Status()>> done = std::move(batch->jobs);
  batch->next = 0;
  batch->jobs.clear();
  return batch->status;
}

std::vector<std::string> RefCore::StackOf(const RecordPtr& record) const {
  bool own_tree = !snapshots_->layered() || record->row.kind == RecordKind::kLayer;
  if (own_tree && !snapshots_->layered()) return {record->row.snapshot};
  std::vector<std::string> stack;
  std::lock_guard lock(mutex_);
  for (const RecordPtr& layer : LayersOf(record)) {
    stack.push_back(layer->afar != nullptr ? layer->afar->path() : layer->row.snapshot);
  }
  if (stack.empty()) stack.push_back(record->row.snapshot);
  return stack;
}

// Of the one layer, whatever is below it.
bool RefCore::LacksTree(const RecordPtr& layer) const {
  std::lock_guard lock(mutex_);
  return !layer->row.extracted && layer->afar == nullptr;
}

bool RefCore::IsLazy(const RecordPtr& record) {
  std::lock_guard lock(mutex_);
  if (!snapshots_->layered()) return !record->row.extracted;
  for (const RecordPtr& layer : LayersOf(record)) {
    if (!layer->row.extracted && layer->afar == nullptr) return true;
  }
  return false;
}

StatusOr<std::shared_ptr<BlobReader>> RefCore::OpenBlob(const oci::Descriptor& blob,
                                                        const Sources& sources) {
  Status last = NotFoundError(StrCat("content ", blob.digest.text(), ": not found"));
  // The nearest layer's source comes last in the list and is the likeliest.
  for (auto it = sources.rbegin(); it != sources.rend(); ++it) {
    StatusOr<std::unique_ptr<BlobReader>> reader = (*it)->Open(blob);
    if (reader.ok()) return std::shared_ptr<BlobReader>(*std::move(reader));
    last = reader.status();
  }
  return last;
}

namespace {

constexpr std::chrono::milliseconds kFetchInterval{150};

// What the watcher of a blob, if it has one, is told while the blob comes in.
class WatchedPull {
 public:
  WatchedPull(const oci::Descriptor& blob, const Sources& sources) : blob_(blob) {
    for (auto it = sources.rbegin(); it != sources.rend() && held_ == nullptr; ++it) {
      held_ = std::dynamic_pointer_cast<WatchedBlobs>(*it);
    }
    if (held_ != nullptr) held_->watcher().Begin();
  }
  ~WatchedPull() {
    if (held_ != nullptr) held_->watcher().End(status_);
  }
  void Fetched(uint64_t bytes, bool done) const {
    if (held_ == nullptr) return;
    auto now = std::chrono::steady_clock::now();
    if (!done && now - told_ < kFetchInterval) return;
    told_ = now;
    held_->watcher().Fetched(blob_.digest, static_cast<int64_t>(bytes), blob_.size, done);
  }
  void Extracting(bool done) {
    if (held_ != nullptr) held_->watcher().Extracting(blob_.digest, done);
  }
  Status Failed(Status status) { return status_ = std::move(status); }

 private:
  const oci::Descriptor& blob_;
  std::shared_ptr<WatchedBlobs> held_;
  mutable std::chrono::steady_clock::time_point told_;  // one reader at a time
  Status status_;
};

// A blob on its way into the content store: what is read from it is written there.
class PullingReader : public BlobReader {
 public:
  PullingReader(std::shared_ptr<BlobReader> from, std::unique_ptr<BlobWriter> to,
                WatchedPull& watch)
      : from_(std::move(from)), to_(std::move(to)), watch_(watch) {
    watch_.Fetched(0, false);
  }
  uint64_t size() const override { return from_->size(); }
  StatusOr<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const override {
    if (offset != written_) return InternalError("a blob that is pulled is read in order");
    ASSIGN_OR_RETURN(size_t count, from_->ReadAt(offset, buffer));
    RETURN_IF_ERROR(to_->Append({reinterpret_cast<const char*>(buffer.data()), count}));
    written_ += count;
    watch_.Fetched(written_, false);
    return count;
  }
  // Reads what the unpacker left (it stops at the end of the archive) and commits.
  Status Finish(const oci::Descriptor& blob, const std::stop_token& stop) {
    std::string buffer(1 << 18, '\0');
    std::span<std::byte> room(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
    for (;;) {
      RETURN_IF_ERROR(StopStatus(stop));
      ASSIGN_OR_RETURN(size_t count, ReadAt(written_, room));
      if (count == 0) break;
    }
    oci::Descriptor expected = blob;
    if (expected.size == 0) expected.size = -1;
    RETURN_IF_ERROR(to_->Commit(expected).status());
    watch_.Fetched(written_, true);
    return OkStatus();
  }

 private:
  std::shared_ptr<BlobReader> from_;
  std::unique_ptr<BlobWriter> to_;
  WatchedPull& watch_;
  mutable uint64_t written_ = 0;  // one reader at a time
};

}  // namespace

Status RefCore::PullBlob(const oci::Descriptor& blob, const Sources& sources,
                         std::stop_token stop) {
  if (content.Stat(blob.digest).ok()) return OkStatus();
  ASSIGN_OR_RETURN(std::shared_ptr<BlobReader> from, OpenBlob(blob, sources));
  ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> to, content.NewWriter());
  WatchedPull watch(blob, sources);
  return watch.Failed(PullingReader(std::move(from), std::move(to), watch).Finish(blob, stop));
}

// Unpacks while the blob comes in; nothing of it is used unless its digest is right.
StatusOr<UnpackedLayer> RefCore::UnpackInto(const oci::Descriptor& blob,
                                            const UnpackTarget& target, const Sources& sources,
                                            std::stop_token stop) {
  WatchedPull watch(blob, sources);
  auto unpack = [&]() -> StatusOr<UnpackedLayer> {
    if (StatusOr<std::unique_ptr<BlobReader>> here = content.Open(blob.digest); here.ok()) {
      return options_.codec.unpack(**here, target, stop);
    }
    ASSIGN_OR_RETURN(std::shared_ptr<BlobReader> from, OpenBlob(blob, sources));
    ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> to, content.NewWriter());
    PullingReader pulling(std::move(from), std::move(to), watch);
    StatusOr<UnpackedLayer> unpacked = options_.codec.unpack(pulling, target, stop);
    if (!unpacked.ok()) {
      // Damaged bytes explain more than what the archive reader made of them.
      Status pulled = pulling.Finish(blob, stop);
      return pulled.code() == StatusCode::kDataLoss ? pulled : unpacked.status();
    }
    RETURN_IF_ERROR(pulling.Finish(blob, stop));
    return unpacked;
  };
  watch.Extracting(false);
  StatusOr<UnpackedLayer> unpacked = unpack();
  if (!unpacked.ok()) return watch.Failed(unpacked.status());
  watch.Extracting(true);
  return unpacked;
}

// A layer's own source is asked first, and hears of it: a merge has those of several images.
Sources RefCore::NearestLast(const RecordPtr& layer, Sources sources) {
  std::lock_guard lock(mutex_);
  if (std::shared_ptr<BlobSource> own = layer->source.lock()) sources.push_back(std::move(own));
  return sources;
}

// One layer's own folder, without those below unless the archive needs them.
StatusOr<std::unique_ptr<StagedLayer>> RefCore::UnpackLayer(const RecordPtr& layer,
                                                            const Sources& sources,
                                                            std::stop_token stop) {
  const RecordRow row = RowOf(layer);
  if (!row.blob) return NotFoundError(StrCat(row.id, ": not found: no files and no blob"));
  const RecordPtr parent = layer->parents.empty() ? nullptr : layer->parents[0];
  UnpackTarget target;
  // Whiteouts of a lowest layer hide nothing, and would be seen as devices.
  target.whole = !snapshots_->layered() || parent == nullptr;
  target.user_xattr = snapshots_->user_xattr();
  for (int attempt = 0;; ++attempt) {
    ASSIGN_OR_RETURN(target.dir, MakeTempDir(temp_dir, "unpack-"));
    TempDir cleanup(target.dir);
    if (::chmod(target.dir.c_str(), 0755) != 0) return ErrnoStatus(errno, target.dir);
    if (target.whole && parent != nullptr) {
      RETURN_IF_ERROR(CopyTree(snapshots_->FsDir(parent->row.snapshot), target.dir));
    }
    StatusOr<UnpackedLayer> unpacked = UnpackInto(*row.blob, target, NearestLast(layer, sources), stop);
    if (unpacked.ok() && unpacked->needs_parents && attempt == 0 && parent != nullptr) {
      RETURN_IF_ERROR(ExtractRecord(parent, sources, stop));
      for (const std::string& below : StackOf(parent)) {
        target.parents.insert(target.parents.begin(), snapshots_->FsDir(below));
      }
      continue;
    }
    if (!unpacked.ok() && unpacked.status().message().starts_with("unexpected commit ")) {
      // The blob never got here: the reference says so as its store does.
      return Annotate(unpacked.status(),
                      StrCat("failed commit on ref \"layer-", row.blob->digest.text(), "\""));
    }
    if (!unpacked.ok()) {
      return Annotate(unpacked.status(),
                      StrCat("failed to extract layer ", row.blob->digest.text()));
    }
    if (unpacked->diff_id.digest.empty()) {
      return NotFoundError(StrCat("failed to extract layer ", row.blob->digest.text(),
                                  ": a link leads to a file that no layer has"));
    }
    if (!row.diff_id.digest.empty() && unpacked->diff_id != row.diff_id) {
      return DataLossError(StrCat("wrong diff id calculated on extraction ",
                                  Quote(unpacked->diff_id.digest.text()), ", expected ",
                                  Quote(row.diff_id.digest.text())));
    }
    return std::make_unique<StagedLayer>(std::move(cleanup), unpacked->diff_id);
  }
}

void RefCore::DropStaged(const RecordPtr& layer) {
  std::unique_lock work(layer->work, std::try_to_lock);
  if (work.owns_lock()) layer->staged.reset();  // else somebody else is at it
}

// `waits`: where snapshots know those below, what is unpacked waits until they are there, and
// is adopted by a later call.
Status RefCore::ExtractLayer(const RecordPtr& layer, const Sources& sources, bool waits,
                             std::stop_token stop) {
  std::lock_guard work(layer->work);
  RecordRow row = RowOf(layer);
  if (row.extracted) return OkStatus();
  RETURN_IF_ERROR(StopStatus(stop));
  if (!LacksTree(layer) || UseFromAfar(layer, sources, stop)) return OkStatus();
  std::shared_ptr<void> hold = content.Hold();
  if (layer->staged == nullptr) {
    ASSIGN_OR_RETURN(layer->staged, UnpackLayer(layer, sources, stop));
  }
  const RecordPtr parent = layer->parents.empty() ? nullptr : layer->parents[0];
  std::vector<std::string> below;
  if (snapshots_->chained() && parent != nullptr) {
    const bool there = !IsLazy(parent);
    if (!there && waits) return OkStatus();
    if (there) below = StackOf(parent);
  }
  const std::unique_ptr<StagedLayer> staged = std::move(layer->staged);
  RETURN_IF_ERROR(snapshots_->Adopt(row.snapshot, staged->dir.path(), below));
  Update(layer, [&](RecordRow& done) {
    done.extracted = true;
    done.diff_id = staged->diff_id;
    done.blob_bytes = std::max(done.blob_bytes, done.blob->size);
    Unsynced(done);
  });
  return OkStatus();
}

StatusOr<LocalMount> RefCore::MountTree(const RecordPtr& record) {
  MountLease lease;
  ASSIGN_OR_RETURN(std::vector<std::string> stack, MountStack(record, &lease.lease));
  lease.mounts = snapshots_->View(stack);
  return LocalMount::Open(std::move(lease), temp_dir);
}

// Whiteouts of the lowest layer hide nothing and would be seen as devices: a layer that
// was made over another one (of a diff) is mounted as links to what it has besides.
StatusOr<std::vector<std::string>> RefCore::BareStack(const RecordPtr& record,
                                                      std::shared_ptr<void>* lease) {
  std::vector<std::string> stack = StackOf(record);
  std::vector<RecordPtr> layers = LayersOf(record);
  if (!snapshots_->layered() || layers.empty()) return stack;
  const Record& lowest = *layers.front();
  bool over_another =
      IsComputed(lowest) || (!lowest.parents.empty() && lowest.parents[0] != nullptr);
  if (!over_another) return stack;
  std::string fs = snapshots_->FsDir(stack.front());
  ASSIGN_OR_RETURN(bool whiteouts, HasWhiteouts(fs));
  if (!whiteouts) return stack;
  struct Bare {
    std::shared_ptr<void> outer;
    TempDir dir;
  };
  ASSIGN_OR_RETURN(std::string dir, MakeTempDir(temp_dir, "bare-"));
  auto bare = std::make_shared<Bare>(Bare{*lease, TempDir(dir)});
  RETURN_IF_ERROR(LinkTree(fs, dir));
  *lease = bare;
  stack.front() = dir;
  return stack;
}

StatusOr<std::vector<std::string>> RefCore::MountStack(const RecordPtr& record,
                                                       std::shared_ptr<void>* lease) {
  ASSIGN_OR_RETURN(std::vector<std::string> stack, BareStack(record, lease));
  RETURN_IF_ERROR(LowerStack(*snapshots_, temp_dir, &stack, lease));
  return stack;
}

// A diff that is no suffix: both sides are compared, and the changes are its layer.
Status RefCore::MakeComputed(const RecordPtr& record, const Sources& sources,
                             std::stop_token stop) {
  for (const RecordPtr& side : record->parents) {
    if (side != nullptr) RETURN_IF_ERROR(ExtractRecord(side, sources, stop));
  }
  std::lock_guard work(record->work);
  RecordRow row = RowOf(record);
  if (row.extracted) return OkStatus();
  ASSIGN_OR_RETURN(std::string dir, MakeTempDir(temp_dir, "diff-"));
  TempDir cleanup(dir);
  std::string empty = dir + "/empty";
  std::string out = dir + "/out";
  RETURN_IF_ERROR(MakeDirs(empty));
  RETURN_IF_ERROR(MakeDirs(out));
  std::vector<LocalMount> mounts;
  std::string paths[2] = {empty, empty};
  for (size_t i = 0; i < 2; ++i) {
    if (record->parents[i] == nullptr) continue;
    ASSIGN_OR_RETURN(LocalMount mounted, MountTree(record->parents[i]));
    paths[i] = mounted.path();
    mounts.push_back(std::move(mounted));
  }
  RETURN_IF_ERROR(DiffTrees(paths[0], paths[1], out));
  if (!snapshots_->layered()) {
    std::string whole = dir + "/whole";
    RETURN_IF_ERROR(MakeDirs(whole));
    RETURN_IF_ERROR(ApplyChanges(out, whole));
    out = whole;
  }
  RETURN_IF_ERROR(snapshots_->Adopt(row.snapshot, out, {}));
  Update(record, [this](RecordRow& done) {
    done.extracted = true;
    Unsynced(done);
  });
  return OkStatus();
}

// Without overlayfs a merge or a diff by layers is built by applying each layer's
// changes to one tree.
Status RefCore::MakeWhole(const RecordPtr& record, const Sources& sources, std::stop_token stop) {
  std::vector<RecordPtr> layers = LayersOf(record);
  for (const RecordPtr& layer : layers) RETURN_IF_ERROR(ExtractRecord(layer, sources, stop));
  std::lock_guard work(record->work);
  RecordRow row = RowOf(record);
  if (row.extracted) return OkStatus();
  ASSIGN_OR_RETURN(std::string dir, MakeTempDir(temp_dir, "merge-"));
  TempDir cleanup(dir);
  std::string whole = dir + "/whole";
  RETURN_IF_ERROR(MakeDirs(whole));
  int step = 0;
  for (const RecordPtr& layer : layers) {
    RETURN_IF_ERROR(StopStatus(stop));
    std::string changes = StrCat(dir, "/", step++);
    RETURN_IF_ERROR(MakeDirs(changes));
    const RecordPtr below = layer->parents.empty() ? nullptr : layer->parents[0];
    RETURN_IF_ERROR(DiffTrees(below == nullptr ? "" : snapshots_->FsDir(below->row.snapshot),
                              snapshots_->FsDir(layer->row.snapshot), changes));
    RETURN_IF_ERROR(ApplyChanges(changes, whole));
  }
  RETURN_IF_ERROR(snapshots_->Adopt(row.snapshot, whole, {}));
  Update(record, [this](RecordRow& done) {
    done.extracted = true;
    Unsynced(done);
  });
  return OkStatus();
}

Status RefCore::ExtractRecord(const RecordPtr& record, const Sources& sources,
                              std::stop_token stop) {
  if (!IsLazy(record)) return OkStatus();
  if (IsComputed(*record)) return MakeComputed(record, sources, stop);
  if (!snapshots_->layered()) {
    if (record->row.kind != RecordKind::kLayer) return MakeWhole(record, sources, stop);
    if (!record->parents.empty()) {
      RETURN_IF_ERROR(ExtractRecord(record->parents[0], sources, stop));
    }
    return ExtractLayer(record, sources, false, stop);
  }
  std::vector<std::function<Status()>> jobs;
  std::vector<RecordPtr> computed;
  std::vector<RecordPtr> unpacked;
  for (const RecordPtr& layer : LayersOf(record)) {
    if (!LacksTree(layer)) continue;
    if (IsComputed(*layer)) {
      computed.push_back(layer);
    } else {
      unpacked.push_back(layer);
      jobs.push_back([=, this, &sources] { return ExtractLayer(layer, sources, true, stop); });
    }
  }
  if (Status status = jobs.empty() ? OkStatus() : RunAll(std::move(jobs)); !status.ok()) {
    for (const RecordPtr& layer : unpacked) DropStaged(layer);
    return status;
  }
  if (snapshots_->chained()) {
    for (const RecordPtr& layer : unpacked) {
      RETURN_IF_ERROR(ExtractLayer(layer, sources, false, stop));
    }
  }
  for (const RecordPtr& layer : computed) RETURN_IF_ERROR(MakeComputed(layer, sources, stop));
  return OkStatus();
}

Status RefCore::Extract(const StatePtr& state, std::stop_token stop) {
  return ExtractRecord(state->record, state->sources, std::move(stop));
}

StatusOr<MountLease> RefCore::Mount(const StatePtr& state, bool readonly, std::stop_token stop) {
  RETURN_IF_ERROR(Extract(state, std::move(stop)));
  MountLease lease;
  lease.lease = state;
  const RecordPtr& record = state->record;
  RecordRow row = RowOf(record);
  if (!row.is_mutable || readonly) {
    ASSIGN_OR_RETURN(std::vector<std::string> stack, MountStack(record, &lease.lease));
    lease.mounts = snapshots_->View(stack);
    return lease;
  }
  std::vector<std::string> below;
  if (!record->parents.empty() && record->parents[0] != nullptr) {
    ASSIGN_OR_RETURN(below, MountStack(record->parents[0], &lease.lease));
  }
  lease.mounts = snapshots_->Writable(row.snapshot, below, row.retain);
  return lease;
}

StatusOr<DiskUsage> RefCore::SizeOf(const RecordPtr& record, bool exact) {
  constexpr int64_t kOldNanos = 60'000'000'000;
  const uint64_t changes = link_changes_;
  DiskUsage tree;
  bool known;
  RecordRow row;
  {
    std::lock_guard lock(mutex_);
    row = record->row;
    if (record->afar != nullptr) {
      const int64_t bytes = record->afar->bytes() + row.blob_bytes;
      return DiskUsage{bytes, bytes};
    }
    tree = {row.tree_bytes, row.tree_bytes};
    known = row.tree_bytes >= 0;
    if (record->shares_files) {
      tree = record->usage;
      known = record->usage_then == changes ||
              (!exact && Now().nanos - record->usage_at.nanos < kOldNanos);
    }
  }
  if (!known) {
    tree = {};
    if (row.extracted) {
      ASSIGN_OR_RETURN(tree, snapshots_->Usage(row.snapshot));
    }
    std::lock_guard lock(mutex_);
    // What will change is not for the ledger.
    if (row.extracted && !(row.is_mutable && record->leases > 0)) {
      KeepSizeLocked(record, tree, changes);
    }
  }
  return DiskUsage{tree.bytes + row.blob_bytes, tree.own + row.blob_bytes};
}

void RefCore::KeepSizeLocked(const RecordPtr& record, const DiskUsage& tree, uint64_t changes) {
  record->shares_files = tree.shares();
  record->usage = tree;
  record->usage_then = changes;
  record->usage_at = Now();
  const int64_t bytes = tree.shares() ? -1 : tree.bytes;
  if (record->row.tree_bytes == bytes) return;
  record->row.tree_bytes = bytes;
  if (!record->dead) table.Save(record->row);
}

// Files of the tree have become names in another one.
void RefCore::SharesFiles(const RecordPtr& record) {
  std::lock_guard lock(mutex_);
  ++link_changes_;
  if (record->shares_files) return;
  record->shares_files = true;
  record->usage_then = 0;
  record->usage_at = {};
  record->row.tree_bytes = -1;
  if (!record->dead) table.Save(record->row);
}

}  // namespace kiln::cache
