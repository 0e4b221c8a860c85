// ImageCommit: a result becomes layers, config, manifest and perhaps an index, all
// in the content store. Where they go from there is the exporters' business.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/status.h"
#include "cache/content/blob_place.h"
#include "cache/content/content_store.h"
#include "cache/ref_store.h"
#include "oci/descriptor.h"
#include "worker/exporter/export_options.h"
#include "worker/exporter/exporter.h"

namespace kiln::worker {

// Blobs of an image, wherever they are: the content store first, then what each layer
// came with (lazy layers stay where they are until read). Thread-safe once filled.
class ImageBlobs : public cache::BlobSource, public cache::BlobPlace {
 public:
  explicit ImageBlobs(cache::ContentStore& store) : store_(store) {}
  void Add(const Digest& digest, std::shared_ptr<cache::BlobSource> source) {
    if (source != nullptr) sources_[digest] = std::move(source);
  }
  // From now on a layer that is read comes into the content store.
  void KeepWhatIsRead() { keep_ = true; }
  StatusOr<std::unique_ptr<cache::BlobReader>> Open(const oci::Descriptor& blob) override;
  std::string RepositoryOf(const oci::Descriptor& blob) override;

 private:
  cache::ContentStore& store_;
  bool keep_ = false;
  std::map<Digest, std::shared_ptr<cache::BlobSource>> sources_;
};

struct CommittedImage {
  oci::Descriptor descriptor;  // of the manifest or index, as exporters show it
  Digest config_digest;        // empty for an index
  std::shared_ptr<ImageBlobs> blobs;
  std::shared_ptr<void> hold;  // keeps the blobs from being swept
};

// One line of progress while it lives; nothing without a vertex.
class ProgressLine {
 public:
  ProgressLine(const ExportContext& context, std::string text);
  ~ProgressLine();

 private:
  std::unique_ptr<solver::StatusLine> line_;
};

// Blocking. `options` is complete (CompleteImageOptions).
StatusOr<CommittedImage> CommitImage(cache::RefStore& refs, const ExportSource& source,
                                     const ImageOptions& options, const ExportContext& context,
                                     std::string_view exporter_type);

// The blobs below and including `root`, children first, each once.
StatusOr<std::vector<oci::Descriptor>> BlobsOf(cache::BlobSource& blobs,
                                               const oci::Descriptor& root);

}  // namespace kiln::worker
