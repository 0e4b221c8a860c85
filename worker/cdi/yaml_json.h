// YAML as JSON: the subset of YAML that configuration files use, read by libyaml.
// Private to worker/cdi (nlohmann in a header).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "base/status.h"

namespace kiln::worker::cdi {

// The first document of `text`. Plain scalars become null, booleans and numbers as in YAML
// 1.2's core schema, all others strings; keys are always strings. INVALID_ARGUMENT
// ("yaml: line N: …") for what does not parse, nests too deep or expands without bound.
StatusOr<nlohmann::json> ParseYaml(std::string_view text);

}  // namespace kiln::worker::cdi
