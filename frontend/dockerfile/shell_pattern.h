// The patterns of ${x#pattern}, ${x%pattern} and ${x/pattern/text}. Private to
// shell_word.cc.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln::dockerfile {

// Value without the shortest (or longest) start or end that the pattern matches.
StatusOr<std::string> TrimByPattern(std::string_view value, std::string_view pattern, bool suffix,
                                    bool longest);
// First (or every) match replaced.
StatusOr<std::string> ReplaceByPattern(std::string_view value, std::string_view pattern,
                                       std::string_view replacement, bool all);

}  // namespace kiln::dockerfile
