// From a frontend's result to what exporters take.
#pragma once

#include "base/status.h"
#include "frontend/bridge.h"
#include "worker/exporter/exporter.h"

namespace kiln::control {

// Evaluates what is not evaluated yet, attestations included.
StatusOr<worker::ExportSource> MakeExportSource(const frontend::Result& result);

}  // namespace kiln::control
