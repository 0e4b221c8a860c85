// Which snapshotter works on the disk of the state folder.
#pragma once

#include <string>

#include "base/status.h"

namespace kiln::buildkitd {

// OK if an overlay of two lower folders and an upper one can be mounted below `root`, which
// is made. The reason otherwise. Leaves nothing behind.
Status OverlaySupported(const std::string& root);
// The same for fuse-overlayfs: its program and the kernel's device.
Status FuseOverlaySupported();

// "overlayfs", "fuse-overlayfs" or "native", the first that works; the log says why.
std::string ProbeSnapshotter(const std::string& root);

}  // namespace kiln::buildkitd
