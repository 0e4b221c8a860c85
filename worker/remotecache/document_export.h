// DocumentExport: a cache written as layers, config and manifest to where blobs can be put.
//
// What the registry and the local backend have in common: their attributes, the order
// of writing and what the user sees of it. Where a blob goes is a BlobTarget.
#pragma once

#include <memory>
#include <string>

#include "cache/remote/cache_document.h"
#include "worker/remotecache/cache_backend.h"

namespace kiln::worker {

// Thread-safe, blocking. A blob that is there already is not read.
class BlobTarget {
 public:
  virtual ~BlobTarget() = default;
  // As CacheOrigin::Opened::place.
  virtual std::string place() const { return ""; }
  virtual Status PutLayer(const oci::Descriptor& blob, cache::BlobSource& source,
                          std::stop_token stop) = 0;
  virtual Status PutBytes(cache::CachePart part, const oci::Descriptor& blob,
                          std::string_view bytes, std::stop_token stop) = 0;
};

struct DocumentExportOptions {
  cache::CompressionOptions compression;
  cache::WriteCacheOptions form;
};
// compression, force-compression, compression-level, oci-mediatypes, image-manifest.
StatusOr<DocumentExportOptions> ParseDocumentExport(const CacheAttrs& attrs);

// "" if absent.
std::string CacheAttr(const CacheAttrs& attrs, const std::string& key);
// Leaves `value` alone if absent. "failed to parse KEY: strconv.ParseBool: …".
Status ParseCacheFlag(const CacheAttrs& attrs, const std::string& key, bool* value);

std::unique_ptr<CacheExporter> NewDocumentExporter(std::string name, DocumentExportOptions options,
                                                   std::unique_ptr<BlobTarget> target);

}  // namespace kiln::worker
