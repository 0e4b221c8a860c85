// RunInVertex: work of control itself shown as a vertex ("exporting to image").
#pragma once

#include <functional>
#include <string_view>

#include "base/status.h"
#include "solver/progress.h"

namespace kiln::control {

// Runs `work` between the started and the completed event of a vertex whose digest
// is that of `id`. A failure becomes the vertex's error.
Status RunInVertex(solver::ProgressSink& sink, std::string_view name, std::string_view id,
                   const std::function<Status(solver::VertexProgress&)>& work);

}  // namespace kiln::control
