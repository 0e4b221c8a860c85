// LLB definitions from files and standard input.
#pragma once

#include <string>

#include "base/status.h"

namespace kiln::buildctl {

// Everything up to the end.
StatusOr<std::string> ReadToEnd(int fd);
// A serialized pb.Definition from standard input; with `no_cache` all its steps
// are marked. Error texts are the reference's.
StatusOr<std::string> ReadStdinDefinition(bool no_cache);

}  // namespace kiln::buildctl
