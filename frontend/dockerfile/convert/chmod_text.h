// Symbolic modes as for chmod(1): "u=rwX,go=rX".
#pragma once

#include <string_view>

namespace kiln::dockerfile {

// Whether `text` is one. Numbers are not.
bool IsChmodText(std::string_view text);

}  // namespace kiln::dockerfile
