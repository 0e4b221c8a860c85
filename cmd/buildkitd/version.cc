#include "cmd/buildkitd/version.h"

namespace kiln::buildkitd {

std::string_view Version() { return KILN_COMPAT_VERSION; }
// The protocol that is spoken; clients show and compare it.
std::string_view VersionPackage() { return "github.com/moby/buildkit"; }
std::string_view VersionRevision() { return KILN_REVISION; }

}  // namespace kiln::buildkitd
