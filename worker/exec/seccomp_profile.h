// The default seccomp profile, as the "seccomp" section of a runtime spec.
// Private to worker/exec (nlohmann in a header).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace kiln::worker::exec {

// For a container with the default capabilities on a machine of `architecture` (Go's name).
nlohmann::ordered_json DefaultSeccompProfile(std::string_view architecture);

}  // namespace kiln::worker::exec
