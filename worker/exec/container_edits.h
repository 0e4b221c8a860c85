// What CDI devices change in the runtime spec of a step.
// Private to worker/exec (nlohmann in a header).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "worker/cdi/cdi_spec.h"
#include "worker/exec/runtime_spec.h"

namespace kiln::worker::exec {

// The mounts, before those that the step asks for: replaced by target, then in the order
// of their depth.
void EditMounts(const cdi::ContainerEdits& edits, std::vector<SpecMount>* mounts);
// All the rest, in a whole spec.
void EditSpec(const cdi::ContainerEdits& edits, nlohmann::ordered_json* spec);

}  // namespace kiln::worker::exec
