// Go's shell patterns over path names. For lists of patterns see pattern.h.
#pragma once

#include <string_view>

#include "base/status.h"

namespace kiln {

// Go's filepath.Match: shell pattern over one whole path, `*` stops at '/'.
// UNKNOWN "syntax error in pattern"; a fault behind a mismatch is not seen.
StatusOr<bool> GlobMatch(std::string_view pattern, std::string_view name);
// The name holds `*`, `?` or `[` outside of an escape.
bool HasGlob(std::string_view name);

}  // namespace kiln
