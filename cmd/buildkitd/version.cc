#include "cmd/buildkitd/version.h"

namespace kiln::buildkitd {

std::string_view Version() { return KILN_COMPAT_VERSION; }
std::string_view VersionPackage() { return "kiln"; }
std::string_view VersionRevision() { return KILN_REVISION; }

}  // namespace kiln::buildkitd
