// Unpack: ADD of a local archive puts its contents in place of the file.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "base/rooted.h"
#include "base/status.h"
#include "worker/op/file/file_attributes.h"

namespace kiln::worker {

// Whether the regular file `path` is a tar, perhaps compressed (gzip, bzip2, xz, zstd).
bool IsArchive(const RootedTree& tree, const std::string& path);

// Unpacks `path` of `source` into the folder `to` of `target`, which exists. Nothing
// leaves that folder, whatever names and links the archive holds.
Status UnpackArchive(const RootedTree& source, const std::string& path, const RootedTree& target,
                     const std::string& to, const std::optional<Owner>& owner,
                     std::stop_token stop);

}  // namespace kiln::worker
