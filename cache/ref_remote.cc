// Layers as blobs: packing what has none, converting, and handing them out.
#include <algorithm>

#include "base/file.h"
#include "cache/content/blob_place.h"
#include "cache/content/estargz_blob.h"
#include "cache/ref_core.h"
#include "oci/compress.h"

namespace kiln::cache {
namespace {

// Of a variant whose archive is not that of the record's blob.
constexpr const char* kOwnDiffId = "kiln/diff-id";

// The content store first, then wherever lazy layers come from. Keeps its ref, and
// so the blobs, alive.
class RefBlobSource : public BlobSource, public BlobPlace {
 public:
  explicit RefBlobSource(StatePtr state)
      : state_(std::move(state)), hold_(state_->core->content.Hold()) {}
  StatusOr<std::unique_ptr<BlobReader>> Open(const oci::Descriptor& blob) override {
    StatusOr<std::unique_ptr<BlobReader>> reader = state_->core->content.Open(blob.digest);
    for (auto it = state_->sources.rbegin(); !reader.ok() && it != state_->sources.rend(); ++it) {
      reader = (*it)->Open(blob);
    }
    return reader;
  }
  std::string RepositoryOf(const oci::Descriptor& blob) override {
    for (auto it = state_->sources.rbegin(); it != state_->sources.rend(); ++it) {
      if (std::string found = cache::RepositoryOf(**it, blob); !found.empty()) return found;
    }
    return "";
  }

 private:
  StatePtr state_;
  std::shared_ptr<void> hold_;
};

}  // namespace

Status RefCore::PackLayer(const RecordPtr& layer, const Sources& sources,
                          const CompressionOptions& compression, std::stop_token stop) {
  RETURN_IF_ERROR(ExtractRecord(layer, sources, stop));
  std::lock_guard work(layer->work);
  RecordRow row = RowOf(layer);
  if (row.blob) return OkStatus();
  bool computed = IsComputed(*layer);
  const RecordPtr lower = layer->parents.empty() ? nullptr : layer->parents[0];
  LayerCodec::Change change;
  change.whole = !snapshots_->layered();
  change.upper = snapshots_->FsDir(row.snapshot);
  std::vector<LocalMount> mounts;
  if (lower != nullptr) {
    ASSIGN_OR_RETURN(LocalMount mounted, MountTree(lower));
    change.lower = mounted.path();
    mounts.push_back(std::move(mounted));
  }
  if (change.whole && computed && layer->parents[1] != nullptr) {
    ASSIGN_OR_RETURN(LocalMount mounted, MountTree(layer->parents[1]));
    change.upper = mounted.path();
    mounts.push_back(std::move(mounted));
  }
  ASSIGN_OR_RETURN(PackedLayer packed, options_.codec.pack(change, compression, content, stop));
  Update(layer, [&](RecordRow& done) {
    done.blob = packed.blob;
    done.diff_id = packed.diff_id;
    done.blob_bytes += packed.blob.size;
  });
  std::lock_guard lock(mutex_);
  IndexLocked(layer);
  return OkStatus();
}

// The blob of one layer in the compression that is wanted.
StatusOr<oci::Descriptor> RefCore::BlobOf(const RecordPtr& layer, const Sources& sources,
                                          const CompressionOptions& compression,
                                          std::stop_token stop) {
  RecordRow row = RowOf(layer);
  auto wanted = [&](const oci::Descriptor& blob) {
    return CompressionOfBlob(content, blob) == compression.type;
  };
  if (!compression.force || wanted(*row.blob)) return *row.blob;
  std::lock_guard work(layer->work);
  row = RowOf(layer);
  for (const oci::Descriptor& variant : row.variants) {
    if (wanted(variant) && content.Stat(variant.digest).ok()) return variant;
  }
  RETURN_IF_ERROR(PullBlob(*row.blob, sources, stop));
  if (wanted(*row.blob)) return *row.blob;  // seen only now that it is here
  ASSIGN_OR_RETURN(std::unique_ptr<BlobReader> blob, content.Open(row.blob->digest));
  ASSIGN_OR_RETURN(PackedLayer packed,
                   options_.codec.convert(*blob, compression, content, stop));
  // eStargz has more in its archive than others.
  if (packed.diff_id.digest != row.diff_id.digest) {
    packed.blob.annotations[kOwnDiffId] = packed.diff_id.digest.text();
  }
  Update(layer, [&](RecordRow& done) {
    std::erase_if(done.variants, wanted);
    done.variants.push_back(packed.blob);
    done.blob_bytes += packed.blob.size;
    if (done.diff_id.digest.empty()) done.diff_id = packed.diff_id;
  });
  return packed.blob;
}

StatusOr<Remote> RefCore::GetRemote(const StatePtr& state, bool create,
                                    const CompressionOptions& compression, std::stop_token stop) {
  auto source = std::make_shared<RefBlobSource>(state);  // protects what is made from here on
  std::vector<RecordPtr> layers = LayersOf(state->record);
  if (create) {  // who only asks what there is must not take a local source from its next build
    std::lock_guard lock(mutex_);
    FinalizeLocked(state->record);
  }
  std::vector<oci::Descriptor> blobs(layers.size());
  std::vector<std::function<Status()>> jobs;
  for (size_t i = 0; i < layers.size(); ++i) {
    RecordRow row = RowOf(layers[i]);
    bool packed = row.blob.has_value();
    // A blob that was lost is made again from its tree.
    if (packed && create && row.extracted && state->sources.empty() &&
        !content.Stat(row.blob->digest).ok()) {
      packed = false;
      Update(layers[i], [](RecordRow& lost) { lost.blob.reset(); });
    }
    if (!packed && !create) {
      return NotFoundError(StrCat(row.id, ": no blob: not found"));
    }
    jobs.push_back([=, this, &blobs]() -> Status {
      if (!packed) RETURN_IF_ERROR(PackLayer(layers[i], state->sources, compression, stop));
      StatusOr<oci::Descriptor> blob =
          create ? BlobOf(layers[i], state->sources, compression, stop)
                 : StatusOr<oci::Descriptor>(*RowOf(layers[i]).blob);
      if (blob.ok()) blobs[i] = *std::move(blob);
      return blob.ok() ? OkStatus() : blob.status();
    });
  }
  if (!jobs.empty()) RETURN_IF_ERROR(RunAll(std::move(jobs)));
  Remote remote;
  remote.source = source;
  for (size_t i = 0; i < layers.size(); ++i) {
    RecordRow done = RowOf(layers[i]);
    // A blob in another compression is not the one that was made then.
    Time created = blobs[i].digest == done.blob->digest ? done.created : Time{};
    Layer layer{std::move(blobs[i]), done.diff_id, done.description, created};
    if (auto own = layer.blob.annotations.find(kOwnDiffId); own != layer.blob.annotations.end()) {
      layer.diff_id = DiffId{Digest::Trusted(own->second)};
      layer.blob.annotations.erase(own);
    }
    layer.blob.media_type =
        oci::ConvertLayerMediaType(layer.blob.media_type, compression.oci_types);
    remote.layers.push_back(std::move(layer));
  }
  return remote;
}

}  // namespace kiln::cache
