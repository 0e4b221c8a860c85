// What tells an eStargz blob from other gzip: its notes, or its footer.
#pragma once

#include <cstdint>
#include <optional>

#include "base/status.h"
#include "cache/content/content_store.h"
#include "oci/descriptor.h"

namespace kiln::cache {

// Where its table of contents starts, i.e. where its archive ends; nullopt for other
// blobs. Reads the last bytes.
StatusOr<std::optional<uint64_t>> TocOffsetOf(const BlobReader& blob);

// By media type; eStargz by its note, and by its footer if the blob is in `store`.
oci::Compression CompressionOfBlob(ContentStore& store, const oci::Descriptor& blob);

}  // namespace kiln::cache
