// The daemon's counters in Prometheus' text format.
//
// Written by hand: Debian packages no static library for it, and it is a few lines.
#pragma once

#include <string>

#include "control/build_metrics.h"

namespace kiln::buildkitd {

// Names and labels of the builds' figures are the reference's.
std::string BuildMetricsText(const control::BuildMetrics::Snapshot& builds);

// CPU, memory and files of this process, read from /proc; what cannot be read is left out.
std::string ProcessMetricsText();

}  // namespace kiln::buildkitd
