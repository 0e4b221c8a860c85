// Whole small blobs: reading and writing them in one call.
#include "cache/content/content_store.h"

namespace kiln::cache {

StatusOr<std::string> ReadBlob(BlobSource& source, const oci::Descriptor& blob, uint64_t limit) {
  ASSIGN_OR_RETURN(std::unique_ptr<BlobReader> reader, source.Open(blob));
  if (reader->size() > limit) {
    return ResourceExhaustedError(
        StrCat("blob ", blob.digest.text(), " has ", reader->size(), " bytes, limit ", limit));
  }
  std::string bytes(reader->size(), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    std::span<std::byte> rest(reinterpret_cast<std::byte*>(bytes.data()) + done,
                              bytes.size() - done);
    ASSIGN_OR_RETURN(size_t count, reader->ReadAt(done, rest));
    if (count == 0) return DataLossError(StrCat("blob ", blob.digest.text(), " ends early"));
    done += count;
  }
  return bytes;
}

StatusOr<oci::Descriptor> WriteBlob(ContentStore& store, std::string_view bytes,
                                    std::string_view media_type) {
  oci::Descriptor expected;
  expected.media_type = std::string(media_type);
  expected.digest = Digest::Of(bytes);
  expected.size = static_cast<int64_t>(bytes.size());
  if (store.Stat(expected.digest).ok()) return expected;
  ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> writer, store.NewWriter());
  RETURN_IF_ERROR(writer->Append(bytes));
  return writer->Commit(expected);
}

}  // namespace kiln::cache
