// Errors that carry the text they are about, for clients to show it.
//
// The details are errdefs messages of the wire; they are written by hand here
// because api/proto lies above frontends.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "frontend/dockerfile/source_range.h"
#include "llb/constraints.h"

namespace kiln::dockerfile {

// One length-delimited protobuf field.
std::string StringField(int number, std::string_view bytes);

bool HasSource(const Status& error);
Status WithSource(const Status& error, const llb::SourceMap& map,
                  const std::vector<Range>& ranges);
// One source for each group of ranges that the error has, innermost first.
Status WithSources(const Status& error, const llb::SourceMap& map);

}  // namespace kiln::dockerfile
