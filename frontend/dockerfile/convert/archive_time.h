// NewestFileTime: the latest time among the regular files of a tar archive.
#pragma once

#include <optional>
#include <string_view>

#include "base/time.h"

namespace kiln::dockerfile {

// `archive` may be compressed. Nothing if it is no archive or has no files.
std::optional<Time> NewestFileTime(std::string_view archive);

}  // namespace kiln::dockerfile
