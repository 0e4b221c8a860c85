// RewriteTimestamps: a layer with no time after an epoch. See layer.h.
#include "oci/layer.h"
#include "oci/tar.h"

namespace kiln::oci {
namespace {

const std::string& Zeros() {
  static const std::string zeros(64 << 10, '\0');
  return zeros;
}

void Clamp(TarTime& time, int64_t epoch) {
  if (time > TarTime{epoch, 0}) time = TarTime{epoch, 0};
}

Status CopyData(TarReader& reader, TarWriter& writer) {
  for (;;) {
    ASSIGN_OR_RETURN(TarReader::Chunk chunk, reader.ReadChunk());
    if (chunk.hole == 0 && chunk.data.empty()) return OkStatus();
    for (int64_t left = chunk.hole; left > 0;) {
      auto count = std::min<int64_t>(left, static_cast<int64_t>(Zeros().size()));
      RETURN_IF_ERROR(writer.Write(std::string_view(Zeros()).substr(0, static_cast<size_t>(count))));
      left -= count;
    }
    if (!chunk.data.empty()) RETURN_IF_ERROR(writer.Write(chunk.data));
  }
}

}  // namespace

StatusOr<WrittenDiff> RewriteTimestamps(const ReadFn& tar, int64_t epoch, const WriteFn& out) {
  WrittenDiff written;
  Sha256 hash;
  TarReader reader(tar);
  TarWriter writer([&](std::string_view bytes) {
    hash.Update(bytes);
    written.tar_bytes += static_cast<int64_t>(bytes.size());
    return out(bytes);
  });
  for (;;) {
    ASSIGN_OR_RETURN(std::optional<TarHeader> header, reader.Next());
    if (!header) break;
    Clamp(header->mtime, epoch);
    if (header->atime) Clamp(*header->atime, epoch);
    if (header->ctime) Clamp(*header->ctime, epoch);
    RETURN_IF_ERROR(writer.WriteHeader(*header));
    RETURN_IF_ERROR(CopyData(reader, writer));
  }
  RETURN_IF_ERROR(writer.Close());
  RETURN_IF_ERROR(reader.Drain());
  written.diff_id = DiffId{hash.Finish()};
  return written;
}

}  // namespace kiln::oci
