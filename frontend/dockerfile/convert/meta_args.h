// Arguments of the whole file: the predefined ones and those before the first FROM.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "frontend/dockerfile/convert/stage_state.h"
#include "frontend/dockerfile/shell_word.h"
#include "llb/env_list.h"

namespace kiln::dockerfile {

// BUILDPLATFORM, TARGETARCH, … unless a build argument overrides them.
llb::EnvList DefaultArgs(const Platform& build, const Platform& target,
                         const std::map<std::string, std::string>& build_args,
                         const std::string& target_stage);

// Adds the declared ones to `env` and describes them in `uses`.
Status BuildMetaArgs(const std::vector<ArgCommand>& commands,
                     const std::map<std::string, std::string>& build_args, const ShellLex& lex,
                     llb::EnvList* env, std::map<std::string, ArgUse>* uses);

}  // namespace kiln::dockerfile
