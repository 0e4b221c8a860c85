// BuildContext: where the main context and the Dockerfile of a build come from.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "base/status.h"
#include "frontend/bridge.h"
#include "llb/state.h"

namespace kiln::dockerfile {

// A plain value.
struct BuildContext {
  std::optional<llb::State> context;     // set if it is no local directory
  std::optional<llb::State> dockerfile;  // set if the Dockerfile comes from elsewhere, too
  std::string context_local = "context";
  std::string dockerfile_local = "dockerfile";
  std::string filename = "Dockerfile";
  bool force_local_dockerfile = false;
};

// Looks at the attributes; a context behind http is fetched to see what it is.
StatusOr<BuildContext> InitContext(frontend::Bridge& bridge, const frontend::StringMap& opts,
                                   std::stop_token stop);

// The state that a git reference names. `*is_git` is false, and the result an
// error, for texts that are none; some are git references and still errors.
StatusOr<llb::State> GitContext(const std::string& reference, std::optional<bool> keep_git_dir,
                                bool commit_mtime, bool* is_git);

// Marks a step as the frontend's own: "[internal] name".
std::string InternalName(std::string_view name);

}  // namespace kiln::dockerfile
