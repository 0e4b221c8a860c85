// Where an error came from, process by process: a detail that each process adds when
// it passes an error on, and that clients print when they are asked for more.
//
// The reference adds the stack of calls. Ours has the frames of base/trace.h, then the call
// of the API, or whatever else says `where`.
#pragma once

#include <source_location>
#include <string>
#include <string_view>

#include "base/status.h"

namespace grpc {
class Status;
}

namespace kiln::api {

inline constexpr std::string_view kStackUrl = "github.com/moby/buildkit/stack.Stack+json";

// What stacks say of this program. Call once, before other threads run.
void SetStackVersion(std::string_view version, std::string_view revision);

// Adds the stack of this process; no effect on OK and where the last one is ours already.
Status WithStack(Status status, std::source_location where = std::source_location::current());
// The same on the way to a peer.
grpc::Status ToGrpcWithStack(const Status& status,
                             std::source_location where = std::source_location::current());

// All stacks as the reference prints them, innermost first; "" if there are none.
std::string StackText(const Status& status);

}  // namespace kiln::api
