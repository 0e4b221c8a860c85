// Values as Go's fmt prints them; they end up in the history of images.
#pragma once

#include <string>
#include <vector>

namespace kiln::dockerfile {

std::string GoList(const std::vector<std::string>& texts);        // %v: [a b]
std::string GoQuotedList(const std::vector<std::string>& texts);  // %q: ["a" "b"]

}  // namespace kiln::dockerfile
