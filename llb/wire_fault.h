// Why bytes are no protobuf message, which the parser itself does not tell.
#pragma once

#include <string_view>

#include "base/status.h"

namespace kiln::llb {

// The first fault of a message's wire form, without knowing its type: UNKNOWN
// "unexpected EOF", "proto: …" as Go says it. OK if there is none. Linear.
Status CheckWire(std::string_view bytes);

}  // namespace kiln::llb
