// The LayerCodec over oci/layer and oci/compress: nothing but pipes.
#include "cache/layer_codec.h"

#include <algorithm>

#include "cache/content/estargz_blob.h"
#include "oci/compress.h"
#include "oci/layer.h"

namespace kiln::cache {
namespace {

oci::ReadFn ReadBlobFn(const BlobReader& blob, uint64_t end) {
  return [&blob, end, offset = uint64_t{0}](std::span<char> buffer) mutable -> StatusOr<size_t> {
    buffer = buffer.first(std::min<uint64_t>(buffer.size(), end - offset));
    ASSIGN_OR_RETURN(size_t count, blob.ReadAt(offset, std::as_writable_bytes(buffer)));
    offset += count;
    return count;
  };
}

StatusOr<oci::ReadFn> ReadArchiveOf(const BlobReader& blob) {
  ASSIGN_OR_RETURN(std::optional<uint64_t> toc, TocOffsetOf(blob));
  return oci::Decompress(ReadBlobFn(blob, toc.value_or(blob.size())));
}

oci::ReadFn Stoppable(oci::ReadFn in, std::stop_token stop) {
  return [in = std::move(in), stop = std::move(stop)](std::span<char> buffer) {
    return stop.stop_requested() ? StatusOr<size_t>(CancelledError("context canceled"))
                                 : in(buffer);
  };
}

StatusOr<UnpackedLayer> Unpack(const BlobReader& blob, const UnpackTarget& target,
                               std::stop_token stop) {
  oci::ApplyOptions options;
  options.whiteouts = target.whole ? oci::ApplyOptions::Whiteouts::kRemove
                                   : oci::ApplyOptions::Whiteouts::kOverlay;
  options.parents = target.parents;
  options.user_xattr = target.user_xattr;
  options.stop = stop;
  // Decompression runs ahead of the writing of files.
  oci::ReadFn tar = oci::ReadAhead(oci::Decompress(ReadBlobFn(blob, UINT64_MAX)));
  StatusOr<oci::AppliedLayer> applied = oci::ApplyLayer(tar, target.dir, options);
  bool missed_link = !applied.ok() && IsNotFound(applied.status()) && target.parents.empty();
  if (missed_link && !target.whole) return UnpackedLayer{{}, true};
  if (!applied.ok()) return applied.status();
  return UnpackedLayer{applied->diff_id, applied->missed_parents};
}

// Runs `produce` into a compressor, a digest and a content writer.
StatusOr<PackedLayer> Store(const CompressionOptions& compression, ContentStore& content,
                            const std::function<StatusOr<DiffId>(const oci::WriteFn&)>& produce) {
  ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> writer, content.NewWriter());
  std::unique_ptr<oci::Compressor> compressor =
      oci::NewCompressor(compression.type, compression.level,
                         [&](std::string_view bytes) { return writer->Append(bytes); });
  PackedLayer packed;
  ASSIGN_OR_RETURN(packed.diff_id, produce([&](std::string_view bytes) {
                     return compressor->Write(bytes);
                   }));
  RETURN_IF_ERROR(compressor->Finish());
  oci::Descriptor expected;
  expected.media_type = std::string(oci::LayerMediaType(compression.type, true));
  expected.size = -1;
  ASSIGN_OR_RETURN(packed.blob, writer->Commit(expected));
  packed.blob.annotations = compressor->Notes();
  if (std::optional<Digest> whole = compressor->WholeDigest()) packed.diff_id = DiffId{*whole};
  return packed;
}

StatusOr<PackedLayer> Pack(const LayerCodec::Change& change, const CompressionOptions& compression,
                           ContentStore& content, std::stop_token stop) {
  return Store(compression, content, [&](const oci::WriteFn& out) -> StatusOr<DiffId> {
    StatusOr<oci::WrittenDiff> written =
        change.whole ? oci::WriteTreeDiff(change.lower, change.upper, out, stop)
                     : oci::WriteOverlayDiff(change.lower, change.upper, out, stop);
    if (!written.ok()) return written.status();
    return written->diff_id;
  });
}

StatusOr<PackedLayer> Convert(const BlobReader& blob, const CompressionOptions& compression,
                              ContentStore& content, std::stop_token stop) {
  return Store(compression, content, [&](const oci::WriteFn& out) -> StatusOr<DiffId> {
    oci::DigestingWriter digest(out);
    ASSIGN_OR_RETURN(oci::ReadFn archive, ReadArchiveOf(blob));
    oci::ReadFn tar = Stoppable(std::move(archive), stop);
    ASSIGN_OR_RETURN(int64_t copied, oci::Copy(tar, [&](std::string_view bytes) {
                       return digest.Write(bytes);
                     }));
    if (copied < 1024) return DataLossError("layer archive is too short");
    return DiffId{digest.digest()};
  });
}

}  // namespace

LayerCodec OciLayerCodec() { return LayerCodec{Unpack, Pack, Convert}; }

}  // namespace kiln::cache
