// SendTree: the sending side of a tree transfer.
#pragma once

#include <cstdint>
#include <functional>

#include "api/fsutil/fs_tree.h"
#include "api/fsutil/packet_stream.h"
#include "base/status.h"

namespace kiln::api {

// Bytes sent so far; called from several threads, one at a time.
using FsProgress = std::function<void(int64_t bytes)>;

// Lists `tree`, sends the files that the receiver asks for and ends when it says
// that it has all. Blocks; uses threads of its own. Requests are read at all
// times, also while data cannot be sent: a receiver may ask for everything
// before it takes a byte. Memory grows with the number of files only.
// A file that cannot be opened arrives empty, as in the reference.
Status SendTree(PacketStream& stream, FsTree& tree, const FsProgress& progress = {});

}  // namespace kiln::api
