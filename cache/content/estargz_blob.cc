// See estargz_blob.h.
#include "cache/content/estargz_blob.h"

#include "oci/estargz.h"

namespace kiln::cache {

StatusOr<std::optional<uint64_t>> TocOffsetOf(const BlobReader& blob) {
  char footer[oci::kEstargzFooterBytes];
  if (blob.size() < sizeof footer) return std::optional<uint64_t>();
  uint64_t start = blob.size() - sizeof footer;
  size_t have = 0;
  while (have < sizeof footer) {
    std::span<char> rest = std::span<char>(footer).subspan(have);
    ASSIGN_OR_RETURN(size_t count, blob.ReadAt(start + have, std::as_writable_bytes(rest)));
    if (count == 0) return DataLossError("unexpected EOF");
    have += count;
  }
  std::optional<uint64_t> offset = oci::EstargzTocOffset({footer, sizeof footer});
  if (offset && *offset > start) offset.reset();
  return offset;
}

oci::Compression CompressionOfBlob(ContentStore& store, const oci::Descriptor& blob) {
  oci::Compression type = oci::CompressionOf(blob.media_type);
  if (type != oci::Compression::kGzip) return type;
  if (blob.annotations.contains(std::string(oci::kTocDigestNote))) {
    return oci::Compression::kEstargz;
  }
  StatusOr<std::unique_ptr<BlobReader>> reader = store.Open(blob.digest);
  if (!reader.ok()) return type;
  StatusOr<std::optional<uint64_t>> toc = TocOffsetOf(**reader);
  return toc.ok() && toc->has_value() ? oci::Compression::kEstargz : type;
}

}  // namespace kiln::cache
