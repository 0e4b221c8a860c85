// See provenance_env.h.
#include "cmd/buildkitd/provenance_env.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::buildkitd {

StatusOr<std::string> LoadProvenanceEnv(const std::string& dir) {
  const std::string folder = dir.empty() ? "/etc/buildkit/provenance.d" : dir;
  if (!PathExists(folder)) return std::string();
  ASSIGN_OR_RETURN(std::vector<std::string> names, ListDir(folder));
  nlohmann::json env = nlohmann::json::object();
  for (const std::string& name : names) {
    if (!name.ends_with(".json")) continue;
    ASSIGN_OR_RETURN(std::string text, ReadFile(JoinPath(folder, name)));
    auto object = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object()) return UnknownError(StrCat("failed to parse ", name));
    env.update(object);
  }
  for (const char* own : {"buildConfig", "builderPlatform", "platform"}) {
    if (env.contains(own)) {
      return UnknownError(StrCat("key ", Quote(own), " is builtin and not allowed to be modified "
                                 "in provenance config"));
    }
  }
  return env.dump();
}

}  // namespace kiln::buildkitd
