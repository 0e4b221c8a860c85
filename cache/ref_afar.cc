// Layers that are used without being fetched (snapshotter "stargz"): their files come from
// the registry when they are read.
//
// Nothing of this is on record but the repository: a layer in use from afar is as lazy as it
// was, and after the next start it is looked at anew.
#include "base/log.h"
#include "cache/afar/afar_mount.h"
#include "cache/content/blob_place.h"
#include "cache/content/blob_ranges.h"
#include "cache/ref_core.h"

namespace kiln::cache {
namespace {

constexpr std::string_view kRepository = "kiln.afar.repository";
// Of all layers' chunks on disk. Records that hold them count in what is pruned.
constexpr int64_t kChunkBytes = int64_t{10} << 30;

}  // namespace

void RefCore::OpenAfar() {
  if (options_.snapshotter != "stargz" || options_.remote_snapshots != nullptr) return;
  StatusOr<std::unique_ptr<AfarMounts>> opened = AfarMounts::Open(temp_dir, kChunkBytes);
  if (opened.ok()) {
    afar_ = *std::move(opened);
  } else {
    log::Warning("layers will be fetched before they are used",
                 {{"error", opened.status().message()}});
  }
}

// False if the layer has to be unpacked; the log says why. `layer->work` is held.
bool RefCore::UseFromAfar(const RecordPtr& layer, const Sources& sources, std::stop_token stop) {
  const RecordRow row = RowOf(layer);
  if (afar_ == nullptr || !row.blob || row.diff_id.digest.empty()) return false;
  const bool lowest = layer->parents.empty() || layer->parents[0] == nullptr;
  Status why = FailedPreconditionError("it is here already");
  if (!content.Stat(row.blob->digest).ok()) {
    why = FailedPreconditionError("its source has no ranges");
    const Sources all = NearestLast(layer, sources);
    for (auto it = all.rbegin(); it != all.rend(); ++it) {
      std::shared_ptr<BlobRanges> ranges = RangesOf(**it);
      if (ranges == nullptr) continue;
      StatusOr<std::shared_ptr<AfarMount>> mounted =
          afar_->Mount(*row.blob, std::move(ranges), lowest, stop);
      why = mounted.status();
      if (IsNotFound(why)) continue;  // another source may have it
      if (!mounted.ok()) break;
      if (std::string repository = RepositoryOf(**it, *row.blob); !repository.empty()) {
        table.SetMetadata(row.id, kRepository, repository, false).IgnoreError();
      }
      log::Debug("a layer is used from afar", {{"layer", row.blob->digest.text()}});
      std::lock_guard lock(mutex_);
      layer->afar = *std::move(mounted);
      return true;
    }
  }
  log::Debug("a layer is fetched, not used from afar",
             {{"layer", row.blob->digest.text()}, {"reason", why.message()}});
  return false;
}

// A lazy layer whose bytes nobody can bring any more is as good as gone; its source knows
// where to look again. One that was used from afar is known to be in a registry.
StatusOr<StatePtr> RefCore::WithLateSources(StatePtr state) {
  Sources late;
  for (const RecordPtr& layer : LayersOf(state->record)) {
    RecordRow row = RowOf(layer);
    if (row.extracted || !row.blob || !layer->source.expired()) continue;
    if (content.Stat(row.blob->digest).ok()) continue;
    std::shared_ptr<BlobSource> source;
    StatusOr<std::string> repository = table.GetMetadata(row.id, kRepository);
    if (repository.ok() && options_.late_blobs) source = options_.late_blobs(*repository);
    if (source == nullptr) {
      return NotFoundError(StrCat(state->record->row.id, ": not found: layer ",
                                  row.blob->digest.text(), " has no source"));
    }
    late.push_back(source);
    std::lock_guard lock(mutex_);
    layer->source = source;
  }
  if (late.empty()) return state;
  late.insert(late.end(), state->sources.begin(), state->sources.end());
  return Lease(state->record, std::move(late));
}

}  // namespace kiln::cache
