// Layers of exported images. See image_layers.h.
#include "worker/exporter/image_layers.h"

#include <algorithm>

#include "base/log.h"
#include "base/time.h"
#include "cache/content/estargz_blob.h"
#include "oci/layer.h"

namespace kiln::worker {
namespace {

constexpr const char* kRewritten = "buildkit/rewritten-timestamp";

// Unset if the layer's archive is the one that must stay (`fixed`, a diff id or "").
StatusOr<std::optional<ImageLayer>> RewriteLayer(cache::ContentStore& store,
                                                 const cache::CompressionOptions& compression,
                                                 int64_t epoch, const std::string& fixed,
                                                 const ImageLayer& layer) {
  std::unique_ptr<cache::BlobReader> opened;
  if (layer.source != nullptr) {
    ASSIGN_OR_RETURN(opened, layer.source->Open(layer.blob));
  } else {
    ASSIGN_OR_RETURN(opened, store.Open(layer.blob.digest));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<cache::BlobWriter> writer, store.NewWriter());
  auto compressor = oci::NewCompressor(compression.type, compression.level,
                                       [&](std::string_view bytes) { return writer->Append(bytes); });
  // The archive alone, without an eStargz's table of contents.
  ASSIGN_OR_RETURN(std::optional<uint64_t> toc, cache::TocOffsetOf(*opened));
  uint64_t end = toc.value_or(opened->size());
  oci::ReadFn archive = oci::Decompress(ReadBlobStream(std::move(opened), end));
  Sha256 hash;
  oci::ReadFn tar = [&](std::span<char> buffer) -> StatusOr<size_t> {
    ASSIGN_OR_RETURN(size_t count, archive(buffer));
    if (!fixed.empty()) hash.Update(std::string_view(buffer.data(), count));
    return count;
  };
  ASSIGN_OR_RETURN(oci::WrittenDiff written,
                   oci::RewriteTimestamps(tar, epoch, [&](std::string_view bytes) {
                     return compressor->Write(bytes);
                   }));
  if (!fixed.empty() && hash.Finish().text() == fixed) return std::optional<ImageLayer>();
  RETURN_IF_ERROR(compressor->Finish());
  oci::Descriptor any;
  any.size = -1;
  ASSIGN_OR_RETURN(oci::Descriptor blob, writer->Commit(any));
  ImageLayer rewritten;
  rewritten.blob.media_type = oci::LayerMediaType(compression.type, true);
  rewritten.blob.digest = blob.digest;
  rewritten.blob.size = blob.size;
  rewritten.blob.annotations = compressor->Notes();
  rewritten.blob.annotations[kRewritten] = std::to_string(epoch);
  rewritten.diff_id = written.diff_id;
  if (auto whole = compressor->WholeDigest()) rewritten.diff_id = DiffId{*whole};
  return std::optional(std::move(rewritten));
}

}  // namespace

oci::ReadFn ReadBlobStream(std::shared_ptr<cache::BlobReader> reader, uint64_t end) {
  auto offset = std::make_shared<uint64_t>(0);
  return [reader, offset, end](std::span<char> buffer) -> StatusOr<size_t> {
    buffer = buffer.first(std::min<uint64_t>(buffer.size(), end - *offset));
    ASSIGN_OR_RETURN(size_t count, reader->ReadAt(*offset, std::as_writable_bytes(buffer)));
    *offset += count;
    return count;
  };
}

void DropForeignNotes(std::map<std::string, std::string>* annotations) {
  std::erase_if(*annotations, [](const auto& note) {
    return note.first != "containerd.io/snapshot/stargz/toc.digest" &&
           note.first != "io.containers.estargz.uncompressed-size";
  });
}

void MakeDistributable(std::vector<ImageLayer>& layers) {
  for (ImageLayer& layer : layers) {
    layer.blob.urls.clear();
    layer.blob.media_type = oci::DistributableLayerMediaType(layer.blob.media_type);
  }
}

StatusOr<std::vector<ImageLayer>> ExportLayers(const cache::Ref& ref,
                                               const cache::CompressionOptions& compression,
                                               std::stop_token stop) {
  ASSIGN_OR_RETURN(cache::Remote remote, ref.GetRemote(true, compression, std::move(stop)));
  std::vector<ImageLayer> layers;
  for (const cache::Layer& layer : remote.layers) {
    layers.push_back({layer.blob, layer.diff_id, remote.source});
    DropForeignNotes(&layers.back().blob.annotations);
  }
  return layers;
}

std::string RewriteText(int64_t epoch) {
  std::string date = FormatRfc3339(Time::FromSeconds(epoch));
  date[date.find('T')] = ' ';
  date.resize(date.find('Z'));
  return StrCat("rewriting layers with source-date-epoch ", epoch, " (", date, " +0000 UTC)");
}

Status RewriteLayers(cache::ContentStore& store, const cache::CompressionOptions& compression,
                     int64_t epoch, const std::vector<std::string>& base_diff_ids,
                     std::vector<ImageLayer>& layers) {
  bool diverged = false;
  for (size_t i = 0; i < layers.size(); ++i) {
    std::string fixed;
    if (!diverged && i < base_diff_ids.size()) {
      fixed = base_diff_ids[i];
      if (fixed == layers[i].diff_id.digest.text()) continue;
      diverged = true;
    }
    auto done = layers[i].blob.annotations.find(kRewritten);
    if (done != layers[i].blob.annotations.end() && done->second == std::to_string(epoch)) continue;
    auto rewritten = RewriteLayer(store, compression, epoch, fixed, layers[i]);
    if (rewritten.ok()) {
      if (rewritten->has_value()) layers[i] = **std::move(rewritten);
    } else {
      log::Warning(StrCat("failed to rewrite layer ", i + 1, "/", layers.size(),
                        " to match source-date-epoch ", epoch, ": ",
                        rewritten.status().message()));
    }
  }
  return OkStatus();
}

}  // namespace kiln::worker
