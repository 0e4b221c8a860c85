// What buildctl says of itself.
#include "cmd/buildctl/version.h"

namespace kiln::buildctl {

std::string_view Version() { return KILN_COMPAT_VERSION; }
std::string_view VersionPackage() { return "kiln"; }
std::string_view VersionRevision() { return KILN_REVISION; }

}  // namespace kiln::buildctl
