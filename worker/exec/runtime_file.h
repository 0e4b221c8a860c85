// Files of a bundle that the runtime reads.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "base/unique_fd.h"

namespace kiln::worker::exec {

// Writes `text`. A file with secrets is a link to memory of this process (the result),
// which goes with it, however that ends; nor do the caller's registers keep them.
StatusOr<UniqueFd> WriteForRuntime(const std::string& path, std::string_view text, bool secret);

}  // namespace kiln::worker::exec
