// One line of comma-separated values, as the options of mounts, outputs and caches
// are written ("type=image,\"name=a,b\"").
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln {

// Fields, quotes removed. UNKNOWN `EOF` for an empty line, and Go's texts for stray
// quotes (`parse error on line 1, column 3: bare " in non-quoted-field`).
StatusOr<std::vector<std::string>> CsvFields(std::string_view line);

}  // namespace kiln
