// Why nobody speaks gRPC at the other end of a connection.
//
// gRPC's library keeps such reasons to itself, so after a failed call the address is
// dialled once more and looked at. Not for the way of a call that works.
#pragma once

#include "api/client/connection.h"

namespace kiln::api {

// UNAVAILABLE 'connection error: desc = "…"' in the words of grpc-go; OK if the other end
// answers as HTTP/2 does, or if this cannot be told. Blocks for a few seconds at most.
Status DiagnoseConnection(const ConnectionOptions& options);

}  // namespace kiln::api
