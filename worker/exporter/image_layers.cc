// Layers of exported images. See image_layers.h.
#include "worker/exporter/image_layers.h"

#include "base/log.h"
#include "base/time.h"
#include "oci/layer.h"

namespace kiln::worker {
namespace {

constexpr const char* kRewritten = "buildkit/rewritten-timestamp";

StatusOr<ImageLayer> RewriteLayer(cache::ContentStore& store,
                                  const cache::CompressionOptions& compression, int64_t epoch,
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
  oci::ReadFn tar = oci::Decompress(ReadBlobStream(std::move(opened)));
  ASSIGN_OR_RETURN(oci::WrittenDiff written,
                   oci::RewriteTimestamps(tar, epoch, [&](std::string_view bytes) {
                     return compressor->Write(bytes);
                   }));
  RETURN_IF_ERROR(compressor->Finish());
  oci::Descriptor any;
  any.size = -1;
  ASSIGN_OR_RETURN(oci::Descriptor blob, writer->Commit(any));
  ImageLayer rewritten;
  rewritten.blob.media_type = oci::LayerMediaType(compression.type, true);
  rewritten.blob.digest = blob.digest;
  rewritten.blob.size = blob.size;
  rewritten.blob.annotations[kRewritten] = std::to_string(epoch);
  rewritten.diff_id = written.diff_id;
  return rewritten;
}

}  // namespace

oci::ReadFn ReadBlobStream(std::shared_ptr<cache::BlobReader> reader) {
  auto offset = std::make_shared<uint64_t>(0);
  return [reader, offset](std::span<char> buffer) -> StatusOr<size_t> {
    ASSIGN_OR_RETURN(size_t count, reader->ReadAt(*offset, std::as_writable_bytes(buffer)));
    *offset += count;
    return count;
  };
}

StatusOr<std::vector<ImageLayer>> ExportLayers(const cache::Ref& ref,
                                               const cache::CompressionOptions& compression,
                                               std::stop_token stop) {
  ASSIGN_OR_RETURN(cache::Remote remote, ref.GetRemote(true, compression, std::move(stop)));
  std::vector<ImageLayer> layers;
  for (const cache::Layer& layer : remote.layers) {
    layers.push_back({layer.blob, layer.diff_id, remote.source});
    // What the base image's manifest said of its layers stays behind, but for eStargz's.
    std::erase_if(layers.back().blob.annotations, [](const auto& note) {
      return note.first != "containerd.io/snapshot/stargz/toc.digest" &&
             note.first != "io.containers.estargz.uncompressed-size";
    });
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
    if (!diverged && i < base_diff_ids.size()) {
      if (base_diff_ids[i] == layers[i].diff_id.digest.text()) continue;
      diverged = true;
    }
    auto done = layers[i].blob.annotations.find(kRewritten);
    if (done != layers[i].blob.annotations.end() && done->second == std::to_string(epoch)) continue;
    StatusOr<ImageLayer> rewritten = RewriteLayer(store, compression, epoch, layers[i]);
    if (rewritten.ok()) {
      layers[i] = *std::move(rewritten);
    } else {
      log::Warning(StrCat("failed to rewrite layer ", i + 1, "/", layers.size(),
                        " to match source-date-epoch ", epoch, ": ",
                        rewritten.status().message()));
    }
  }
  return OkStatus();
}

}  // namespace kiln::worker
