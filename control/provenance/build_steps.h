// BuildSteps: a definition as a list of numbered steps, for provenance documents.
#pragma once

#include <map>
#include <string>

#include "base/status.h"

namespace pb {
class Definition;
}

namespace kiln::control {

struct BuildSteps {
  std::string json;                  // array of steps; empty without steps
  std::map<std::string, int> index;  // by digest of the op

  // {"sha256:…":"step0",…}
  std::string DigestMapping() const;
};

// Inputs come before what uses them. `usage` has JSON of what steps used, by digest. UNKNOWN
// for definitions that do not decode.
StatusOr<BuildSteps> MakeBuildSteps(const pb::Definition& definition,
                                    const std::map<std::string, std::string>& usage = {});

}  // namespace kiln::control
