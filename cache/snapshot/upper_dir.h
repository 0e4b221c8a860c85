// SettleUpper: what is done once to the upper folder of an overlay when its tree
// is frozen into a layer.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"

namespace kiln::cache {

// The kernel marks every folder that it makes in an upper folder as opaque, also
// where there is nothing below to hide. Such a mark would hide the folders of
// another stack when the layer is merged onto it, so it is taken off unless one of
// `lowers` (nearest first, in overlay form) has a folder there. Returns the bytes
// that the upper folder occupies, since all of it is visited anyway.
StatusOr<int64_t> SettleUpper(const std::string& upper, std::span<const std::string> lowers);

}  // namespace kiln::cache
