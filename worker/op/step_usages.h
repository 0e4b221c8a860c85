// StepUsages: what the steps of running builds used. Nothing is known of steps that did not
// run because their result was there.
#pragma once

#include <memory>

#include "worker/exec/step_usage.h"
#include "worker/op/vertex_notes.h"

namespace kiln::worker {

class StepUsages : public VertexNotes<std::shared_ptr<const exec::StepUsage>> {};

}  // namespace kiln::worker
