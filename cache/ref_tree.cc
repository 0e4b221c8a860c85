// Making trees of records and mounting them: lazy layers, merges, diffs.
#include <condition_variable>

#include "base/file.h"
#include "cache/ref_core.h"
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
  for (const RecordPtr& layer : LayersOf(record)) stack.push_back(layer->row.snapshot);
  if (stack.empty()) stack.push_back(record->row.snapshot);
  return stack;
}

bool RefCore::IsLazy(const RecordPtr& record) {
  std::lock_guard lock(mutex_);
  if (!snapshots_->layered()) return !record->row.extracted;
  for (const RecordPtr& layer : LayersOf(record)) {
    if (!layer->row.extracted) return true;
  }
  return false;
}

Status RefCore::PullBlob(const oci::Descriptor& blob, const Sources& sources,
                         std::stop_token stop) {
  if (content.Stat(blob.digest).ok()) return OkStatus();
  Status last = NotFoundError(StrCat("content ", blob.digest.text(), ": not found"));
  // The nearest layer's source comes last in the list and is the likeliest.
  for (auto it = sources.rbegin(); it != sources.rend(); ++it) {
    StatusOr<std::unique_ptr<BlobReader>> reader = (*it)->Open(blob);
    if (!reader.ok()) {
      last = reader.status();
      continue;
    }
    ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> writer, content.NewWriter());
    std::string buffer(1 << 18, '\0');
    for (uint64_t offset = 0;;) {
      RETURN_IF_ERROR(StopStatus(stop));
      std::span<std::byte> room(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
      ASSIGN_OR_RETURN(size_t count, (*reader)->ReadAt(offset, room));
      if (count == 0) break;
      RETURN_IF_ERROR(writer->Append(std::string_view(buffer).substr(0, count)));
      offset += count;
    }
    oci::Descriptor expected = blob;
    if (expected.size == 0) expected.size = -1;
    return writer->Commit(expected).status();
  }
  return last;
}

// One layer's own folder, without those below unless the archive needs them.
Status RefCore::ExtractLayer(const RecordPtr& layer, const Sources& sources,
                             std::stop_token stop) {
  std::lock_guard work(layer->work);
  RecordRow row = RowOf(layer);
  if (row.extracted) return OkStatus();
  RETURN_IF_ERROR(StopStatus(stop));
  if (!row.blob) return NotFoundError(StrCat(row.id, ": not found: no files and no blob"));
  std::shared_ptr<void> hold = content.Hold();
  RETURN_IF_ERROR(PullBlob(*row.blob, sources, stop));
  ASSIGN_OR_RETURN(std::unique_ptr<BlobReader> blob, content.Open(row.blob->digest));
  const RecordPtr parent = layer->parents.empty() ? nullptr : layer->parents[0];
  UnpackTarget target;
  target.whole = !snapshots_->layered();
  for (int attempt = 0;; ++attempt) {
    ASSIGN_OR_RETURN(target.dir, MakeTempDir(temp_dir, "unpack-"));
    TempDir cleanup(target.dir);
    if (::chmod(target.dir.c_str(), 0755) != 0) return ErrnoStatus(errno, target.dir);
    if (target.whole && parent != nullptr) {
      RETURN_IF_ERROR(CopyTree(snapshots_->FsDir(parent->row.snapshot), target.dir));
    }
    StatusOr<UnpackedLayer> unpacked = options_.codec.unpack(*blob, target, stop);
    bool again = attempt == 0 && parent != nullptr && !target.whole &&
                 (unpacked.ok() ? unpacked->needs_parents : !IsCancelled(unpacked.status()));
    if (again) {
      RETURN_IF_ERROR(ExtractRecord(parent, sources, stop));
      std::vector<std::string> stack = StackOf(parent);
      for (auto it = stack.rbegin(); it != stack.rend(); ++it) {
        target.parents.push_back(snapshots_->FsDir(*it));
      }
      continue;
    }
    if (!unpacked.ok()) {
      return Annotate(unpacked.status(),
                      StrCat("failed to extract layer ", row.blob->digest.text()));
    }
    if (!row.diff_id.digest.empty() && unpacked->diff_id != row.diff_id) {
      return DataLossError(StrCat("wrong diff id calculated on extraction ",
                                  Quote(unpacked->diff_id.digest.text()), ", expected ",
                                  Quote(row.diff_id.digest.text())));
    }
    RETURN_IF_ERROR(snapshots_->Adopt(row.snapshot, target.dir));
    Update(layer, [&](RecordRow& done) {
      done.extracted = true;
      done.diff_id = unpacked->diff_id;
      done.blob_bytes = std::max(done.blob_bytes, static_cast<int64_t>(blob->size()));
    });
    return OkStatus();
  }
}

StatusOr<LocalMount> RefCore::MountTree(const RecordPtr& record) {
  MountLease lease;
  lease.mounts = snapshots_->View(StackOf(record));
  return LocalMount::Open(std::move(lease), temp_dir);
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
  RETURN_IF_ERROR(snapshots_->Adopt(row.snapshot, out));
  Update(record, [](RecordRow& done) { done.extracted = true; });
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
  RETURN_IF_ERROR(snapshots_->Adopt(row.snapshot, whole));
  Update(record, [](RecordRow& done) { done.extracted = true; });
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
    return ExtractLayer(record, sources, stop);
  }
  std::vector<std::function<Status()>> jobs;
  std::vector<RecordPtr> computed;
  for (const RecordPtr& layer : LayersOf(record)) {
    if (RowOf(layer).extracted) continue;
    if (IsComputed(*layer)) {
      computed.push_back(layer);
    } else {
      jobs.push_back([=, this, &sources] { return ExtractLayer(layer, sources, stop); });
    }
  }
  if (!jobs.empty()) RETURN_IF_ERROR(RunAll(std::move(jobs)));
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
    lease.mounts = snapshots_->View(StackOf(record));
    return lease;
  }
  std::vector<std::string> below;
  if (!record->parents.empty() && record->parents[0] != nullptr) {
    below = StackOf(record->parents[0]);
  }
  lease.mounts = snapshots_->Writable(row.snapshot, below);
  return lease;
}

StatusOr<int64_t> RefCore::SizeOf(const RecordPtr& record) {
  RecordRow row = RowOf(record);
  if (row.tree_bytes < 0) {
    int64_t bytes = 0;
    if (row.extracted) {
      ASSIGN_OR_RETURN(bytes, snapshots_->Usage(row.snapshot));
    }
    if (!row.extracted || (row.is_mutable && record->leases > 0)) {
      return bytes + row.blob_bytes;  // will change: not for the ledger
    }
    row.tree_bytes = bytes;
    Update(record, [&](RecordRow& known) { known.tree_bytes = bytes; });
  }
  return row.tree_bytes + row.blob_bytes;
}

}  // namespace kiln::cache
