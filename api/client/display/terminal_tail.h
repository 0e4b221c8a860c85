// The last lines of a step's output, as a terminal would show them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kiln::api {

// At most `lines` lines of at most `width` columns from the end of `raw`: escape
// sequences dropped, carriage returns and backspaces obeyed, blank lines left out.
std::vector<std::string> TerminalTail(std::string_view raw, size_t lines, size_t width);

}  // namespace kiln::api
