// ReadFn and WriteFn: bytes in and out, as functions.
//
// What layer archives, compression and transfers are composed of. A stage pulls
// from a ReadFn and pushes to a WriteFn; none of them owns a file or a thread
// unless its header says so.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

#include "base/status.h"

namespace kiln::oci {

// Fills some of the buffer; returns the bytes filled, 0 at the end (and ever after).
using ReadFn = std::function<StatusOr<size_t>(std::span<char> buffer)>;
// Takes all of `bytes` or fails; the bytes are not kept.
using WriteFn = std::function<Status(std::string_view bytes)>;

// A ReadFn over a text that outlives it.
ReadFn ReadFrom(std::string_view text);
// A WriteFn that appends to `out`, which outlives it.
WriteFn AppendTo(std::string& out);
// Reads to the end; RESOURCE_EXHAUSTED above `limit` bytes.
StatusOr<std::string> ReadAll(const ReadFn& in, size_t limit);
// Copies to the end and returns the bytes copied.
StatusOr<int64_t> Copy(const ReadFn& in, const WriteFn& out);

}  // namespace kiln::oci
