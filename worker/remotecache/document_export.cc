// Layers first and several at a time, then the config, then the manifest that names them.
#include "worker/remotecache/document_export.h"

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "oci/manifest.h"
#include "worker/exporter/export_options.h"

namespace kiln::worker {
namespace {

constexpr size_t kLayersAtOnce = 4;

// A source that remembers whether it was the one that had no bytes: a registry's 404 on
// an upload is another matter.
class WatchedSource : public cache::BlobSource {
 public:
  explicit WatchedSource(cache::BlobSource& from) : from_(from) {}
  StatusOr<std::unique_ptr<cache::BlobReader>> Open(const oci::Descriptor& blob) override {
    auto reader = from_.Open(blob);
    if (!reader.ok()) return Watch(reader.status());
    return std::make_unique<Reader>(*this, *std::move(reader));
  }
  bool lost() const { return lost_; }

 private:
  class Reader : public cache::BlobReader {
   public:
    Reader(WatchedSource& source, std::unique_ptr<cache::BlobReader> from)
        : source_(source), from_(std::move(from)) {}
    uint64_t size() const override { return from_->size(); }
    StatusOr<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const override {
      StatusOr<size_t> count = from_->ReadAt(offset, buffer);
      return count.ok() ? std::move(count) : source_.Watch(count.status());
    }

   private:
    WatchedSource& source_;
    std::unique_ptr<cache::BlobReader> from_;
  };
  Status Watch(Status status) {
    if (IsNotFound(status)) lost_ = true;
    return status;
  }

  cache::BlobSource& from_;
  std::atomic<bool> lost_ = false;
};

class DocumentExporter : public CacheExporter {
 public:
  DocumentExporter(std::string name, DocumentExportOptions options,
                   std::unique_ptr<BlobTarget> target)
      : name_(std::move(name)), options_(std::move(options)), target_(std::move(target)) {}

  std::string name() const override { return name_; }
  cache::CompressionOptions compression() const override { return options_.compression; }
  StatusOr<CacheAttrs> Write(const cache::CacheChains& chains, const SeenBlobs& seen,
                             solver::VertexProgress& progress, std::stop_token stop) override;

 private:
  // Copies what `cache` lists but for `there`; gives the blobs that are nowhere any more.
  StatusOr<std::set<Digest>> WriteLayers(const cache::CacheChains::Marshalled& cache,
                                         const std::set<Digest>& there,
                                         solver::VertexProgress& progress, std::stop_token stop);
  // All of `chains`, taking the place's word that it has what is in `there`.
  StatusOr<CacheAttrs> WriteAll(const cache::CacheChains& chains, const std::set<Digest>& there,
                                solver::VertexProgress& progress, std::stop_token stop);
  Status WriteLayer(const cache::Layer& layer, cache::BlobSource& from,
                    solver::VertexProgress& progress, std::stop_token stop, bool* lost);

  std::string name_;
  DocumentExportOptions options_;
  std::unique_ptr<BlobTarget> target_;
};

Status DocumentExporter::WriteLayer(const cache::Layer& layer, cache::BlobSource& from,
                                    solver::VertexProgress& progress, std::stop_token stop,
                                    bool* lost) {
  solver::StatusLine line(progress, StrCat("writing layer ", layer.blob.digest.text()));
  WatchedSource source(from);
  Status put = target_->PutLayer(layer.blob, source, stop);
  *lost = !put.ok() && source.lost();
  return put.ok() || *lost ? OkStatus() : Annotate(put, "error writing layer blob");
}

StatusOr<std::set<Digest>> DocumentExporter::WriteLayers(
    const cache::CacheChains::Marshalled& cache, const std::set<Digest>& there,
    solver::VertexProgress& progress, std::stop_token stop) {
  // The same blob may stand on several parents; it is written once.
  std::vector<const std::pair<cache::Layer, std::shared_ptr<cache::BlobSource>>*> layers;
  for (const auto& [digest, blob] : cache.blobs) {
    if (!there.contains(blob.first.blob.digest)) {
      layers.push_back(&blob);
    } else {
      solver::StatusLine(progress, StrCat("writing layer ", blob.first.blob.digest.text()));
    }
  }
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  Status failure;
  std::set<Digest> gone;
  auto work = [&] {
    for (size_t i = next++; i < layers.size(); i = next++) {
      const auto& [layer, source] = *layers[i];
      bool lost = false;
      Status written = WriteLayer(layer, *source, progress, stop, &lost);
      std::lock_guard lock(mutex);
      if (lost) gone.insert(layer.blob.digest);
      if (failure.ok()) failure = written;
      if (!failure.ok()) return;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < std::min(layers.size(), kLayersAtOnce); ++i) threads.emplace_back(work);
    work();
  }
  RETURN_IF_ERROR(failure);
  return gone;
}

StatusOr<CacheAttrs> DocumentExporter::Write(const cache::CacheChains& chains,
                                             const SeenBlobs& seen,
                                             solver::VertexProgress& progress,
                                             std::stop_token stop) {
  auto there = seen.find(target_->place());
  if (there == seen.end() || there->second.empty()) return WriteAll(chains, {}, progress, stop);
  StatusOr<CacheAttrs> written = WriteAll(chains, there->second, progress, stop);
  if (written.ok() || stop.stop_requested()) return written;
  // The place may have dropped a layer since the build has seen it listed.
  return WriteAll(chains, {}, progress, stop);
}

StatusOr<CacheAttrs> DocumentExporter::WriteAll(const cache::CacheChains& chains,
                                                const std::set<Digest>& there,
                                                solver::VertexProgress& progress,
                                                std::stop_token stop) {
  cache::CacheChains::Marshalled cache = chains.Marshal();
  ASSIGN_OR_RETURN(std::set<Digest> lost, WriteLayers(cache, there, progress, stop));
  if (!lost.empty()) cache = chains.Marshal(lost);
  if (cache.config.layers.empty()) {
    solver::StatusLine(progress, "skipping cache export for empty result");
    return CacheAttrs();
  }
  auto put = [&](cache::CachePart part, const oci::Descriptor& blob, std::string_view bytes) {
    bool config = part == cache::CachePart::kConfig;
    std::string_view doing = config                        ? "writing config "
                             : options_.form.image_manifest ? "writing cache image manifest "
                                                            : "writing cache manifest ";
    solver::StatusLine line(progress, StrCat(doing, blob.digest.text()));
    Status done = target_->PutBytes(part, blob, bytes, stop);
    if (done.ok()) return done;
    return Annotate(done, config ? "error writing config blob" : "error writing manifest blob");
  };
  ASSIGN_OR_RETURN(oci::Descriptor manifest, cache::WriteCacheDocument(cache, options_.form, put));
  return CacheAttrs{{"cache.manifest", oci::DescriptorJson(manifest)}};
}

}  // namespace

std::string CacheAttr(const CacheAttrs& attrs, const std::string& key) {
  auto entry = attrs.find(key);
  return entry == attrs.end() ? std::string() : entry->second;
}

Status ParseCacheFlag(const CacheAttrs& attrs, const std::string& key, bool* value) {
  auto entry = attrs.find(key);
  if (entry == attrs.end() || ParseBool(entry->second, value)) return OkStatus();
  return UnknownError(StrCat("failed to parse ", key, ": strconv.ParseBool: parsing ",
                             Quote(entry->second), ": invalid syntax"));
}

StatusOr<DocumentExportOptions> ParseDocumentExport(const CacheAttrs& attrs) {
  DocumentExportOptions options;
  RETURN_IF_ERROR(ParseCompression(attrs, options.compression));
  RETURN_IF_ERROR(ParseCacheFlag(attrs, "oci-mediatypes", &options.form.oci_types));
  // Without a word, the form that the media types allow.
  options.form.image_manifest = attrs.contains("image-manifest") || options.form.oci_types;
  RETURN_IF_ERROR(ParseCacheFlag(attrs, "image-manifest", &options.form.image_manifest));
  return options;
}

std::unique_ptr<CacheExporter> NewDocumentExporter(std::string name, DocumentExportOptions options,
                                                   std::unique_ptr<BlobTarget> target) {
  return std::make_unique<DocumentExporter>(std::move(name), std::move(options),
                                            std::move(target));
}

}  // namespace kiln::worker
