// What a CDI file must fulfil beyond its syntax.
#pragma once

#include "base/status.h"
#include "worker/cdi/cdi_spec.h"

namespace kiln::worker::cdi {

// The first fault, in the reference's words.
Status CheckSpec(const CdiSpec& spec);

}  // namespace kiln::worker::cdi
