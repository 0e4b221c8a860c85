// Heads of here-documents in an instruction line. Private to parse.cc.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "frontend/dockerfile/ast.h"

namespace kiln::dockerfile {

// All heads of a line in order, without bodies. UNKNOWN for quotes that do not close.
StatusOr<std::vector<Heredoc>> HeredocHeads(std::string_view line);

}  // namespace kiln::dockerfile
