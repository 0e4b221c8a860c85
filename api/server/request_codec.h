// Requests of builds from the wire to control::BuildRequest.
#pragma once

#include <google/protobuf/map.h>

#include "base/status.h"
#include "control/build_request.h"

namespace moby::buildkit::v1 {
class SolveRequest;
}

namespace kiln::api {

// Moves out of `request`. Old fields are translated. INVALID_ARGUMENT or UNKNOWN
// in the reference's words for what can be told from the request alone.
StatusOr<control::BuildRequest> ParseSolveRequest(moby::buildkit::v1::SolveRequest request);

frontend::StringMap ToStringMap(
    const google::protobuf::Map<std::string, std::string>& map);

}  // namespace kiln::api
