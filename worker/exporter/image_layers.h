// Layers of an exported image: the cache's chain of blobs, and the same with times
// lowered to an epoch.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "cache/content/content_store.h"
#include "cache/ref.h"
#include "oci/compress.h"

namespace kiln::worker {

struct ImageLayer {
  oci::Descriptor blob;
  DiffId diff_id;
  std::shared_ptr<cache::BlobSource> source;  // null: the content store has it
};

// Makes the blobs that do not exist yet. Blocking.
// Drops what a base image's manifest said of its layers, but for eStargz's own notes.
void DropForeignNotes(std::map<std::string, std::string>* annotations);

// Layers that others may pull from here, instead of from the place their base named.
void MakeDistributable(std::vector<ImageLayer>& layers);

StatusOr<std::vector<ImageLayer>> ExportLayers(const cache::Ref& ref,
                                               const cache::CompressionOptions& compression,
                                               std::stop_token stop);

// "rewriting layers with source-date-epoch …", as the reference shows it.
std::string RewriteText(int64_t epoch);
// Replaces layers by ones without times after `epoch`, but for the base image's. A layer
// that cannot be rewritten stays as it is, with a warning in the log.
Status RewriteLayers(cache::ContentStore& store, const cache::CompressionOptions& compression,
                     int64_t epoch, const std::vector<std::string>& base_diff_ids,
                     std::vector<ImageLayer>& layers);

// A blob as a stream.
oci::ReadFn ReadBlobStream(std::shared_ptr<cache::BlobReader> reader,
                           uint64_t end = UINT64_MAX);

}  // namespace kiln::worker
