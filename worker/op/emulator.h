// The program that runs steps of another architecture.
#pragma once

#include <string>

#include "base/status.h"

namespace kiln::worker {

// A copy of `program` that everybody may read and run and nobody write, under `temp_dir`;
// made when first asked for, and again when the program changes. Thread-safe.
StatusOr<std::string> EmulatorFor(const std::string& program, const std::string& temp_dir);

}  // namespace kiln::worker
