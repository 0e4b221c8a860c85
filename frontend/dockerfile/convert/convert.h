// Convert: a Dockerfile and the settings of a build become LLB and an image config.
//
// The heart of the frontend. One call compiles one platform; it asks the daemon
// (through the Client) only for image configs, ignore files and times.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/platform.h"
#include "base/status.h"
#include "frontend/dockerfile/convert/epoch.h"
#include "frontend/dockerfile/lint/linter.h"
#include "frontend/dockerfile/ui/client.h"
#include "llb/state.h"
#include "oci/image_config.h"

namespace kiln::dockerfile {

struct ConvertOptions {
  Client* client = nullptr;  // not owned
  std::shared_ptr<const llb::SourceMap> source_map;
  std::optional<Platform> target_platform;  // unset: the build platform
  LintWarn warn;                            // empty: findings do not count
  bool all_stages = false;                  // convert those that the target does not need, too
  bool labs = false;                        // features of the labs channel
};

struct ConvertResult {
  llb::State state;
  llb::MarshalOptions marshal;
  oci::Image image;
  std::optional<oci::Image> base_image;
  std::optional<Epoch> epoch;
  bool ignore_cache = false;
  // What an SBOM scanner looks at besides the result, by name.
  std::map<std::string, llb::State> scan_extras;
};

// Blocks. Errors carry the places in the file (source_range.h).
StatusOr<ConvertResult> Convert(const ConvertOptions& options);

struct OutlineArg {
  std::string name, description, value;
  std::vector<Range> location;
};
struct OutlineUse {
  std::string name;
  bool required = false;
  std::vector<Range> location;
};
struct Outline {
  std::string name, description;
  std::vector<OutlineArg> args;
  std::vector<OutlineUse> secrets;
  std::vector<OutlineUse> ssh;
};
StatusOr<Outline> ConvertToOutline(const ConvertOptions& options);

}  // namespace kiln::dockerfile
