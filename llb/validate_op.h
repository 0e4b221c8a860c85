// ValidateOp: the checks that one op must pass before anything looks inside it.
//
// Structure only: oneof set, required messages present, indexes in range. What
// an identifier or a path means is for those who run the op.
#pragma once

#include "base/status.h"

namespace pb {
class Op;
}

namespace kiln::llb {

// INVALID_ARGUMENT in the reference's words where it has any.
Status ValidateOp(const pb::Op& op);

}  // namespace kiln::llb
