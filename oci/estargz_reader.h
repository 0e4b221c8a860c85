// Reading an eStargz blob by parts: its table of contents, then the chunks that are wanted.
//
// Nothing that comes from here is unchecked: the table against the digest that the
// manifest names, chunks against the table. Where ranges come from is the caller's business.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/status.h"
#include "oci/estargz_tree.h"

namespace kiln::oci {

// `length` bytes of a blob from `offset` on; fewer or more is the source's failure.
using ReadRangeFn = std::function<StatusOr<std::string>(uint64_t offset, uint64_t length)>;

// The tree of a blob of `blob_bytes`, whose manifest gives `toc_digest` (kTocDigestNote).
// Asks for one range, or two for a large table. FAILED_PRECONDITION if it is no eStargz,
// DATA_LOSS for another table than `toc_digest`, else as EstargzTree::Parse and `read`.
StatusOr<EstargzTree> ReadEstargzTree(const ReadRangeFn& read, uint64_t blob_bytes,
                                      const Digest& toc_digest);

// Takes `bytes`, those of streams()[stream], apart, and gives each of its chunks (index into
// chunks()) to `sink`. DATA_LOSS, before such a chunk is given, if it is not what the table says.
Status ReadEstargzStream(const EstargzTree& tree, uint32_t stream, std::string_view bytes,
                         const std::function<Status(uint32_t chunk, std::string_view data)>& sink);

}  // namespace kiln::oci
