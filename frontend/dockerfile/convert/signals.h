// Names of signals that STOPSIGNAL takes.
#pragma once

#include <string_view>

namespace kiln::dockerfile {

// A number other than 0, or a name with or without "SIG", whatever its case.
bool IsSignal(std::string_view text);

}  // namespace kiln::dockerfile
