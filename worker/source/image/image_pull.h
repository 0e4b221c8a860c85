// Pulling of manifests and configs: from a reference to the layers of one platform.
// Layers themselves stay where they are until somebody wants them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/platform.h"
#include "base/status.h"
#include "cache/content/content_store.h"
#include "cache/ref.h"
#include "oci/descriptor.h"

namespace kiln::worker {

// Where an image comes from: a registry, or a client's OCI layout. Thread-safe, blocking.
class ImageOrigin {
 public:
  virtual ~ImageOrigin() = default;
  // The manifest or index behind `ref`. NOT_FOUND in the reference's words.
  virtual StatusOr<oci::Descriptor> Resolve(const std::string& ref) = 0;
  // Bytes of what was resolved; stays valid as long as it is held.
  virtual std::shared_ptr<cache::BlobSource> Blobs(const std::string& ref) = 0;
  // All bytes of one blob in order, whose size nobody has told. Not verified.
  virtual Status ReadBlob(const std::string& ref, const Digest& digest,
                          const std::function<Status(std::string_view)>& sink) = 0;
  // What refers to a manifest in the repository of `ref`; where nothing can, nothing does.
  virtual StatusOr<std::vector<oci::Descriptor>> Referrers(const std::string& ref,
                                                           const Digest& subject) {
    (void)ref, (void)subject;
    return std::vector<oci::Descriptor>();
  }
};

struct PulledImage {
  std::string ref;
  oci::Descriptor root;                // manifest or index
  oci::Descriptor manifest;            // of the platform
  std::string config;                  // raw JSON
  std::vector<cache::Layer> layers;    // lowest first
  std::shared_ptr<cache::BlobSource> source;
};

// Fetches root, manifest and config into `store`, each checked against its digest.
// "no match for platform in manifest: not found" if no manifest runs on `platform`.
StatusOr<PulledImage> PullImage(ImageOrigin& origin, const std::string& ref,
                                const Platform& platform, cache::ContentStore& store);

// Cache keys of an image: by its manifest, and by its layers ("" if it has none).
std::string ManifestKey(const Digest& root, const Platform& platform, std::optional<int> limit);
StatusOr<std::string> LayersKey(std::string_view config, std::optional<int> limit);

}  // namespace kiln::worker
