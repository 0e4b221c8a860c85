// What was asked for, kept with a result and compared with what came of it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "frontend/bridge.h"

namespace kiln::control {

// Notes platforms, labels and subrequest of the options in the result's metadata.
void NoteRequest(const frontend::StringMap& opts, frontend::Result* result);

// Warnings of a result with other platforms than its request had. Errors if the
// platforms of the result are not to be told.
StatusOr<std::vector<std::string>> CheckPlatforms(const frontend::StringMap& opts,
                                                  const std::map<std::string, std::string>& metadata,
                                                  size_t refs, bool empty);

}  // namespace kiln::control
