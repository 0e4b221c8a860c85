// The progress of a finished build as a blob: messages, each after its length.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cache/content/content_store.h"
#include "control/history.h"
#include "solver/progress.h"

namespace moby::buildkit::v1 {
class StatusResponse;
}

namespace kiln::api {

std::string EncodeHistoryLog(std::vector<solver::ProgressEvent> events);

// Hands out the messages of a finished build's log, in order, until `send` is false.
// False if there is no such finished build.
StatusOr<bool> ReplayHistoryLog(control::History& history, cache::ContentStore& content,
                                const std::string& ref,
                                const std::function<bool(moby::buildkit::v1::StatusResponse)>& send);

}  // namespace kiln::api
