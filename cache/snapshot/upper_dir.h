// SettleUpper: what is done once to the upper folder of an overlay when its tree
// is frozen into a layer.
#pragma once

#include <span>
#include <string>

#include "base/file.h"
#include "base/status.h"

namespace kiln::cache {

// The kernel marks folders that replace others as opaque, and others that it makes as
// well. Such a mark would hide the folders of another stack when the layer is merged
// onto it, so it is taken off; what it hid of `lowers` (nearest first, in overlay form)
// is then hidden by whiteouts. What was copied up and is as it was below goes as well:
// it is no change; nor is a folder's new time, unless somebody gave it one. Returns what
// the upper folder occupies, since all of it is visited anyway.
StatusOr<DiskUsage> SettleUpper(const std::string& upper, std::span<const std::string> lowers);

}  // namespace kiln::cache
