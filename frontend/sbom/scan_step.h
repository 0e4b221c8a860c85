// The step that runs an SBOM scanner over a result, for frontends and for results
// whose frontend did not scan.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/platform.h"
#include "base/status.h"
#include "frontend/bridge.h"
#include "llb/state.h"

namespace kiln::frontend {

// A scanner's image and how it is started. A plain value.
struct Scanner {
  Platform platform;
  std::string image;  // canonical
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string dir;
  std::map<std::string, std::string> parameters;
};
// From the image's config; "scanner X does not have cmd".
StatusOr<Scanner> MakeScanner(const std::string& image, const Platform& platform,
                              const std::string& config,
                              const std::map<std::string, std::string>& parameters);

struct ScanTarget {
  std::string id;  // of the platform
  llb::State core;
  std::map<std::string, llb::State> extras;  // more to look at: contexts, stages
  bool ignore_cache = false;
};
// Solves (lazily) the scan of one platform's result.
StatusOr<Attestation> Scan(Bridge& bridge, const Scanner& scanner, const ScanTarget& target,
                           std::stop_token stop);

}  // namespace kiln::frontend
