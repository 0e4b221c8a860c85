// Values of single frontend attributes, from text. Inside of ui/ only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/dockerfile/ui/config.h"

namespace kiln::dockerfile {

StatusOr<std::vector<Platform>> ParsePlatforms(std::string_view text);
StatusOr<llb::ResolveMode> ParseResolveMode(std::string_view text);
StatusOr<std::vector<llb::HostIp>> ParseExtraHosts(std::string_view text);
StatusOr<std::vector<llb::Ulimit>> ParseUlimits(std::string_view text);
StatusOr<llb::NetMode> ParseNetMode(std::string_view text);
StatusOr<std::optional<llb::LinuxResources>> ParseLinuxResources(const frontend::StringMap& opts);
// The "attest:sbom" attribute; unknown kinds of attestations are errors.
StatusOr<std::optional<Sbom>> ParseSbom(const frontend::StringMap& opts);
// Go's strconv.ParseInt(text, 10, 64) with its error texts.
StatusOr<int64_t> ParseGoInt(std::string_view text);

}  // namespace kiln::dockerfile
