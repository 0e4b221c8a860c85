#include "oci/estargz_reader.h"

#include <algorithm>
#include <optional>

#include "base/file.h"
#include "base/strings.h"
#include "oci/compress.h"
#include "oci/estargz.h"
#include "oci/tar.h"

namespace kiln::oci {
namespace {

constexpr std::string_view kTocName = "/stargz.index.json";
// Footer and small tables come with the first read.
constexpr uint64_t kFirstRead = 32 << 10;
constexpr uint64_t kMaxTocBytes = 64 << 20;    // compressed
constexpr int64_t kMaxTocJson = 256 << 20;

StatusOr<std::string> TocJsonOf(std::string_view member) {
  TarReader tar(Decompress(ReadFrom(member)));
  ASSIGN_OR_RETURN(std::optional<TarHeader> header, tar.Next());
  if (!header || CleanPath(StrCat("/", header->name)) != kTocName || header->size < 0) {
    return DataLossError("eStargz: no table of contents where the footer says");
  }
  if (header->size > kMaxTocJson) {
    return UnimplementedError("eStargz: the table of contents is too large");
  }
  std::string json;
  for (;;) {
    ASSIGN_OR_RETURN(TarReader::Chunk chunk, tar.ReadChunk());
    if (chunk.data.empty()) break;  // a hole has no place in it either
    json += chunk.data;
  }
  return json;
}

// Reads on until `wanted` bytes of what `in` holds are there.
Status ReadExactly(const ReadFn& in, uint64_t wanted, std::string* out) {
  out->resize(wanted);
  for (size_t have = 0; have < wanted;) {
    ASSIGN_OR_RETURN(size_t count, in(std::span<char>(*out).subspan(have)));
    if (count == 0) return DataLossError("unexpected EOF");
    have += count;
  }
  return OkStatus();
}

Status Skip(const ReadFn& in, uint64_t bytes) {
  std::string buffer;
  for (; bytes > 0; bytes -= buffer.size()) {
    RETURN_IF_ERROR(ReadExactly(in, std::min<uint64_t>(bytes, 64 << 10), &buffer));
  }
  return OkStatus();
}

}  // namespace

StatusOr<EstargzTree> ReadEstargzTree(const ReadRangeFn& read, uint64_t blob_bytes,
                                      const Digest& toc_digest) {
  if (blob_bytes < kEstargzFooterBytes) return FailedPreconditionError("no eStargz: too short");
  const uint64_t tail_start = blob_bytes - std::min(blob_bytes, kFirstRead);
  ASSIGN_OR_RETURN(std::string tail, read(tail_start, blob_bytes - tail_start));
  if (tail.size() != blob_bytes - tail_start) return DataLossError("unexpected EOF");
  const uint64_t footer = blob_bytes - kEstargzFooterBytes;
  std::optional<uint64_t> toc =
      EstargzTocOffset(std::string_view(tail).substr(tail.size() - kEstargzFooterBytes));
  if (!toc || *toc >= footer) return FailedPreconditionError("no eStargz: it has no such footer");
  if (footer - *toc > kMaxTocBytes) {
    return UnimplementedError("eStargz: the table of contents is too large");
  }
  if (*toc < tail_start) {
    ASSIGN_OR_RETURN(std::string head, read(*toc, tail_start - *toc));
    if (head.size() != tail_start - *toc) return DataLossError("unexpected EOF");
    tail.insert(0, head);
  } else {
    tail.erase(0, *toc - tail_start);
  }
  tail.resize(footer - *toc);
  ASSIGN_OR_RETURN(std::string json, TocJsonOf(tail));
  if (Digest found = Digest::Of(json); found != toc_digest) {
    return DataLossError(StrCat("eStargz: the table of contents is ", found.text(), ", expected ",
                                toc_digest.text()));
  }
  return EstargzTree::Parse(json, *toc);
}

Status ReadEstargzStream(const EstargzTree& tree, uint32_t stream, std::string_view bytes,
                         const std::function<Status(uint32_t, std::string_view)>& sink) {
  const EstargzStream& from = tree.streams()[stream];
  ReadFn in = Decompress(ReadFrom(bytes));
  uint64_t at = 0;
  std::string data;
  for (uint32_t i = from.first; i < from.first + from.count; ++i) {
    const uint32_t index = tree.stream_chunks()[i];
    const EstargzChunk& chunk = tree.chunks()[index];
    RETURN_IF_ERROR(Skip(in, chunk.inner - at));
    RETURN_IF_ERROR(ReadExactly(in, chunk.size, &data));
    at = chunk.inner + chunk.size;
    Sha256 hash;
    hash.Update(data);
    if (hash.FinishRaw() != chunk.sha256) {
      return DataLossError(StrCat("eStargz: the chunk at ", from.offset,
                                  " is not what the table of contents says"));
    }
    RETURN_IF_ERROR(sink(index, data));
  }
  return OkStatus();
}

}  // namespace kiln::oci
