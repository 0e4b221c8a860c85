// Compile: one Dockerfile through the frontend, without a daemon.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/platform.h"
#include "base/status.h"
#include "frontend/bridge.h"
#include "frontend/dockerfile/offline/image_catalog.h"

namespace kiln::dockerfile2llb {

struct Settings {
  std::map<std::string, std::string> opts;
  std::string session = "dockerfile2llb";
  std::vector<Platform> worker_platforms;
  std::map<std::string, std::string> locals;  // name → directory, for ignore files
  dockerfile::ImageCatalog images;
};

struct Compiled {
  Status status;
  frontend::Result result;
  std::vector<frontend::Warning> warnings;
};

// The file counts as the one that the "filename" attribute names.
Compiled Compile(const std::string& file, const Settings& settings);

// One line of --json.
std::string JsonLine(const std::string& file, const Compiled& compiled);
// For people: definition, config, warnings, error.
std::string Report(const std::string& file, const Compiled& compiled);

}  // namespace kiln::dockerfile2llb
