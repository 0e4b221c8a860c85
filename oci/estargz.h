// eStargz: a gzip layer whose files can be read one by one.
//
// Each chunk of a file starts a gzip member, and after the archive come a table of
// contents, as the only file of an archive of its own, and a footer that says where
// it starts. The bytes that are written are decompressed as one archive; the table
// belongs to it (and to the diff id), behind the closing blocks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "oci/compress.h"

namespace kiln::oci {

inline constexpr std::string_view kTocDigestNote = "containerd.io/snapshot/stargz/toc.digest";
inline constexpr std::string_view kTocSizeNote = "io.containers.estargz.uncompressed-size";

// Takes a tar, cut anywhere. INVALID_ARGUMENT for entries a table cannot hold.
std::unique_ptr<Compressor> NewEstargzCompressor(std::optional<int> level, WriteFn out);

inline constexpr size_t kEstargzFooterBytes = 51;
// Where the table of contents starts, from the last bytes of a blob; nullopt if it is
// no eStargz. What is before it decompresses to the archive alone.
std::optional<uint64_t> EstargzTocOffset(std::string_view footer);

}  // namespace kiln::oci
