// Progress events in their wire form.
#pragma once

#include <vector>

#include "solver/progress.h"

namespace google::protobuf {
class Timestamp;
}
namespace moby::buildkit::v1 {
class StatusResponse;
}

namespace kiln::api {

void SetTimestamp(Time time, google::protobuf::Timestamp* out);

// As few messages as the size of logs allows.
std::vector<moby::buildkit::v1::StatusResponse> ToStatusResponses(
    std::vector<solver::ProgressEvent> events);

}  // namespace kiln::api
