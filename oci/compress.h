// Compressed streams of layers: gzip, zstd, none.
//
// Gzip is written as members of a fixed chunk size, compressed on several threads;
// the bytes depend on input and level only, never on timing. Readers take any gzip
// (several members too), zstd and plain data, told apart by their first bytes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/status.h"
#include "oci/descriptor.h"
#include "oci/stream.h"

namespace kiln::oci {

// Bytes in, compressed bytes out. One thread; may own threads of its own.
class Compressor {
 public:
  virtual ~Compressor() = default;
  virtual Status Write(std::string_view bytes) = 0;
  // Writes what is left. Required once; nothing may follow.
  virtual Status Finish() = 0;
  // What a descriptor of the stream has to say, once it is finished.
  virtual std::map<std::string, std::string> Notes() const { return {}; }
  // Of all that the stream decompresses to, if that is more than was written.
  virtual std::optional<Digest> WholeDigest() const { return std::nullopt; }
};

// `level` in the terms of the format (gzip 0-9 or -1, zstd 0-22); default if unset.
// kEstargz takes nothing but a tar (see estargz.h). `out` is only called from Write and Finish.
std::unique_ptr<Compressor> NewCompressor(Compression type, std::optional<int> level, WriteFn out);

// libdeflate's level for a level of gzip.
int DeflateLevel(std::optional<int> level);

// Who takes gzip apart: ISA-L if the machine has it (isal_inflate.h), else zlib.
enum class Inflater { kFastest, kZlib };
// Decompresses whatever `in` holds. Errors are DATA_LOSS.
ReadFn Decompress(ReadFn in, Inflater inflater = Inflater::kFastest);
// Runs `in` on a thread of its own, some buffers ahead of the reader. The thread ends
// when the ReadFn is dropped, after the read in progress.
ReadFn ReadAhead(ReadFn in, size_t buffer_bytes = 256 << 10, int buffers = 4);

// A WriteFn that hashes and counts what passes. Shares nothing; one thread.
class DigestingWriter {
 public:
  explicit DigestingWriter(WriteFn out) : out_(std::move(out)) {}
  Status Write(std::string_view bytes) {
    hash_.Update(bytes);
    size_ += static_cast<int64_t>(bytes.size());
    return out_(bytes);
  }
  Digest digest() const { return hash_.Finish(); }
  int64_t size() const { return size_; }

 private:
  WriteFn out_;
  Sha256 hash_;
  int64_t size_ = 0;
};

// The media type of a layer with that compression.
std::string_view LayerMediaType(Compression type, bool oci_types);
// The same layer under the OCI's or docker's name; unknown types stay as they are.
std::string ConvertLayerMediaType(std::string_view media_type, bool oci_types);
// The same layer without the mark that it must not be passed on.
std::string DistributableLayerMediaType(std::string_view media_type);

}  // namespace kiln::oci
