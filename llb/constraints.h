// Constraints: what accompanies a step of a definition without being its work:
// platform, display name, cache rules, progress group, places in source files.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/platform.h"

namespace pb {
class Definition;
}

namespace kiln::llb {

// A text that steps point into. Shared and never changed after making.
struct SourceMap {
  std::string filename;
  std::string language;
  std::string data;
  std::shared_ptr<const pb::Definition> definition;  // loads the text; may be null
};

struct LineRange {
  int32_t start_line = 0, start_character = 0, end_line = 0, end_character = 0;
};

struct SourceLocation {
  std::shared_ptr<const SourceMap> map;
  std::vector<LineRange> ranges;
};

struct ProgressGroup {
  std::string id;
  std::string name;
  bool weak = false;
};

struct LinuxResources {
  int64_t memory = 0;
  int64_t memory_swap = 0;
  uint64_t cpu_shares = 0;
  uint64_t cpu_period = 0;
  int64_t cpu_quota = 0;
  std::string cpuset_cpus;
  std::string cpuset_mems;
};

// A plain value, given along when a step is made.
struct Constraints {
  std::optional<Platform> platform;
  bool ignore_cache = false;
  std::map<std::string, std::string> description;
  std::optional<bool> export_cache;
  std::optional<ProgressGroup> progress_group;
  std::optional<LinuxResources> linux_resources;
  std::vector<SourceLocation> locations;
  std::set<std::string, std::less<>> caps;  // what the step needs of the daemon

  // Sets the name that progress shows.
  Constraints& Named(std::string name) {
    description["llb.customname"] = std::move(name);
    return *this;
  }
  Constraints& Need(std::string_view cap) {
    caps.emplace(cap);
    return *this;
  }
};

}  // namespace kiln::llb
