// What buildctl says of itself.
#pragma once

#include <string_view>

namespace kiln::buildctl {

// The version whose behaviour this build follows, so that clients enable its features.
std::string_view Version();
std::string_view VersionPackage();
std::string_view VersionRevision();

}  // namespace kiln::buildctl
