// The documents that subrequests return. Inside of build/ only.
#pragma once

#include <string>

#include "base/status.h"
#include "frontend/bridge.h"
#include "frontend/dockerfile/convert/convert.h"

namespace kiln::dockerfile {

frontend::Result DescribeResult();
frontend::Result OutlineResult(const Outline& outline, const llb::SourceMap& map);
StatusOr<frontend::Result> TargetsResult(const llb::SourceMap& map);
frontend::Result LintResult(ConvertOptions options);
StatusOr<frontend::Result> LlbResult(const ConvertOptions& options);

// {"ranges":[{"start":{"line":1},"end":{"line":1}}]} as Go prints pb.Location.
std::string LocationJson(const std::vector<Range>& ranges);
// Rows of cells in columns, as Go's tabwriter lays them out with this padding.
std::string Tabulate(const std::vector<std::vector<std::string>>& rows, size_t padding);

}  // namespace kiln::dockerfile
