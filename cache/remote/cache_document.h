// CacheDocument: a cache as it lies in a registry or a folder: manifest, config, layers.
//
// Read from whatever a reference points to: an index or image manifest whose
// config is a cache config, or images that carry their cache inline. Transport
// is a BlobSource on the way in and a function on the way out.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cache/content/content_store.h"
#include "cache/remote/cache_chains.h"
#include "cache/remote/cache_config.h"

namespace kiln::cache {

// Annotations by which a layer's blob says more about itself.
inline constexpr std::string_view kUncompressedNote = "containerd.io/uncompressed";
inline constexpr std::string_view kCreatedNote = "buildkit/createdat";
inline constexpr std::string_view kDescriptionNote = "buildkit/description";

struct CacheDocument {
  CacheConfig config;
  std::map<Digest, oci::Descriptor> layers;  // those that the manifest lists
};

// Reads the cache behind `root`; several documents when an index holds images with
// inline caches. None is a cache: an empty list. DATA_LOSS for blobs that are not
// what their digest says, INVALID_ARGUMENT for documents that do not parse.
// `root_type` is told the media type of the root once that is known.
StatusOr<std::vector<CacheDocument>> ReadCacheDocuments(
    BlobSource& source, const oci::Descriptor& root,
    const std::function<void(std::string_view type)>& root_type = {});

struct WriteCacheOptions {
  bool image_manifest = true;  // an image manifest, else an index
  bool oci_types = true;
};
enum class CachePart { kConfig, kManifest };
// Stores a blob that is in memory.
using PutBytes =
    std::function<Status(CachePart part, const oci::Descriptor& blob, std::string_view bytes)>;

// The layers of `cache` in its config's order, as a manifest lists them: each says
// when it was made and what it is without compression. INTERNAL "missing blob X".
StatusOr<std::vector<oci::Descriptor>> ListedLayers(const CacheChains::Marshalled& cache,
                                                    bool oci_types);
// Writes config and manifest through `put` (the layers have been copied by the
// caller) and returns the manifest's descriptor.
StatusOr<oci::Descriptor> WriteCacheDocument(const CacheChains::Marshalled& cache,
                                             const WriteCacheOptions& options,
                                             const PutBytes& put);

// The records of `cache` in terms of an image's layers, for its config: results whose
// layers are not all in the image are dropped. `layers`: digests of the image's blobs,
// or of what they hold without compression, lowest first. "" if nothing matches.
StatusOr<std::string> InlineRecords(const CacheChains::Marshalled& cache,
                                    const std::vector<Digest>& layers);

}  // namespace kiln::cache
