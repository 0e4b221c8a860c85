// VertexName: what progress and errors call a vertex.
#pragma once

#include <string>

#include "llb/graph.h"

namespace kiln::llb {

// The custom name of the metadata, or a text made from the op and, for merge
// and diff, from the names of the inputs (which must be set). Bounded in size.
std::string VertexName(const Vertex& vertex);

}  // namespace kiln::llb
