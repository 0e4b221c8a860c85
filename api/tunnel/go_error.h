// Failures of calls in the words in which the reference's client prints them.
#pragma once

#include "base/status.h"

namespace grpc {
class Status;
}

namespace kiln::api {

// A unary call: "NotFound: text"; code Unknown gives the text alone. Details stay.
Status UnaryError(const grpc::Status& status);
// The end of a stream: "rpc error: code = NotFound desc = text".
Status StreamError(const grpc::Status& status);
// A stream that could not be opened: the same, twice.
Status StreamOpenError(const grpc::Status& status);

}  // namespace kiln::api
