// The trace that the history keeps of a build: a span for it and one per step.
//
// Made from the progress when the build ends, not recorded on the way. The text is
// what tools for the reference's traces read: OpenTelemetry's spans as Go prints them,
// one JSON object after the other.
#pragma once

#include <string>
#include <vector>

#include "base/time.h"
#include "solver/progress.h"

namespace kiln::api {

// `ref` names the build, and so its trace. `error` is "" if the build succeeded.
std::string EncodeHistoryTrace(const std::string& ref, Time started, Time completed,
                               const std::string& error,
                               const std::vector<solver::ProgressEvent>& events);

}  // namespace kiln::api
