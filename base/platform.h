// Platform: operating system and architecture, as in the OCI image index.
//
// Parsing, formatting, normalising and matching follow containerd's platforms
// library (`linux/arm/v7`, `linux/amd64/v3`, `windows(10.0.17763)/amd64`).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln {

struct Platform {
  std::string os = {};
  std::string architecture = {};
  std::string variant = {};
  std::string os_version = {};
  std::vector<std::string> os_features = {};

  bool operator==(const Platform&) const = default;
};

// Fills in missing parts from the host. INVALID_ARGUMENT in containerd's words.
StatusOr<Platform> ParsePlatform(std::string_view text);
// "os/arch[/variant]"; "unknown" without an os.
std::string FormatPlatform(const Platform& platform);
// With "(version+feature…)" after the os.
std::string FormatPlatformAll(const Platform& platform);
// Canonical names: x86_64 → amd64, arm64/v8 → arm64, arm → arm/v7, …
Platform NormalizePlatform(const Platform& platform);
// The platform of this machine, normalised (with the amd64 micro-architecture left out).
Platform DefaultPlatform();

// Whether a machine for `have` runs images for `wanted`: containerd's `Only`
// (arm/v7 runs arm/v6, amd64 runs 386 …) and `OnlyStrict`.
bool PlatformMatchesOnly(const Platform& have, const Platform& wanted);
bool PlatformMatchesStrict(const Platform& have, const Platform& wanted);
// Order of preference among those that match `have`: true if `a` is the better one.
bool PlatformBetter(const Platform& have, const Platform& a, const Platform& b);

}  // namespace kiln
