// Which finished builds a client wants to see.
#pragma once

#include <string>
#include <vector>

#include "control/history.h"

namespace kiln::api {

// Filters are lists of conditions ("status==error,startedAt>1h"); a build that meets one
// of them is kept. With a limit the newest come first. Errors in the reference's words.
StatusOr<std::vector<control::HistoryEvent>> SelectHistory(
    const std::vector<std::string>& filters, int limit, std::vector<control::HistoryEvent> events);

}  // namespace kiln::api
