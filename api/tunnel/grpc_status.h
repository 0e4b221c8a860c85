// Between kiln::Status and grpc::Status, typed details included.
//
// Inside Kiln a detail is the protobuf bytes of its message. On the wire the
// reference packs JSON text into google.rpc.Status; both ways are here.
#pragma once

#include "base/status.h"

namespace google::rpc {
class Status;
}
namespace grpc {
class Status;
}

namespace kiln::api {

// Details of unknown types travel as they are.
grpc::Status ToGrpc(const Status& status);
Status FromGrpc(const grpc::Status& status);

// The same for errors inside messages (ReturnRequest.error, history records).
void ToRpcStatus(const Status& status, google::rpc::Status* out);
Status FromRpcStatus(const google::rpc::Status& status);

}  // namespace kiln::api
