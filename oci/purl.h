// Package URLs of images ("pkg:docker/alpine@3?platform=linux%2Famd64").
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/platform.h"
#include "base/status.h"

namespace kiln::oci {

// `type` is "docker" or "oci"; `more` are qualifiers that come last.
// `failed to parse ref "…": …` for names that do not parse.
StatusOr<std::string> PackageUrl(std::string_view type, std::string_view ref,
                                 const std::optional<Platform>& platform,
                                 const std::vector<std::pair<std::string, std::string>>& more = {});

}  // namespace kiln::oci
