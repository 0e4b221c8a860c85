// Where a failure came by inside this program, for stacks of errors (api/tunnel/error_stack.h).
//
// Few places call this: those that a reader of a failed build wants to see, from the inside
// to the outside. What they add is a detail that does not leave the process as it is.
#pragma once

#include <source_location>
#include <string>
#include <vector>

#include "base/status.h"

namespace kiln {

inline constexpr std::string_view kFrameUrl = "kiln/frame";

struct TraceFrame {
  std::string function;  // qualified name, no parameters
  std::string file;      // path in this repository
  int line = 0;
};

TraceFrame FrameAt(const std::source_location& where);
// Adds a frame; no effect on OK.
Status Traced(Status status, std::source_location where = std::source_location::current());
// All frames of a failure, innermost first.
std::vector<TraceFrame> FramesOf(const Status& status);

}  // namespace kiln
