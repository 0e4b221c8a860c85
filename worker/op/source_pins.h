// SourcePins: what the sources of running builds turned out to be; known once they are keyed.
#pragma once

#include <string>

#include "worker/op/vertex_notes.h"

namespace kiln::worker {

struct SourcePin {
  std::string pin;  // digest of an image or a file, commit of a repository
  std::string url;  // of a file or a repository, with its ref
};

class SourcePins : public VertexNotes<SourcePin> {};

}  // namespace kiln::worker
