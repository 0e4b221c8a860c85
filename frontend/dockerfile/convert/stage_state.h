// StageState: one build stage while it is converted. Inside of convert/ only.
//
// Plain data that the passes of the converter fill in one after the other: which
// stage stands on which, base images, then instruction by instruction.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/platform.h"
#include "frontend/dockerfile/convert/epoch.h"
#include "frontend/dockerfile/instruction.h"
#include "llb/state.h"
#include "oci/image_config.h"

namespace kiln::dockerfile {

struct StageState;

// An instruction of a stage with the stages that it takes files from.
struct StageCommand {
  Command command;
  std::vector<StageState*> sources;
  bool on_build = false;  // came from a trigger
};

struct ArgUse {
  std::string value;
  ArgPair definition;
  std::set<std::string> deps;
  std::vector<Range> location;
};
struct RequiredUse {
  bool required = false;
  std::vector<Range> location;
};
// What an outline tells: parameters that the stage takes.
struct OutlineCapture {
  std::map<std::string, ArgUse> all_args;
  std::set<std::string> used_args;
  std::map<std::string, RequiredUse> secrets;
  std::map<std::string, RequiredUse> ssh;
};

// Where an instruction was seen of which only the last one counts.
struct UseTracker {
  bool set = false;
  std::vector<Range> location;
};

struct StageState {
  Stage stage;
  std::string stage_name;
  StageState* base = nullptr;
  // Stages that instructions refer to, each with the place of the last reference.
  std::vector<std::pair<StageState*, std::vector<Range>>> deps;
  std::optional<std::string> named_context;  // key of the attributes
  std::vector<StageCommand> commands;
  llb::State state;
  oci::Image image;
  std::optional<oci::Image> base_image;  // as it was pulled
  std::optional<Platform> platform;
  std::vector<ArgPair> build_args;
  std::set<std::string> ctx_paths;                // used of the main context
  std::shared_ptr<std::set<std::string>> paths =  // used of this stage; shared with its base
      std::make_shared<std::set<std::string>>();
  OutlineCapture outline;
  std::optional<Epoch> epoch;
  bool dispatched = false;
  bool resolved = false;      // the base image
  bool on_build_init = false;
  bool ignore_cache = false;
  bool unregistered = false;  // stands for an image named in --from
  bool prefix_platform = false;
  bool scan_stage = false;
  bool scan_context = false;
  bool workdir_set = false;
  bool cmd_is_on_build = false;
  int cmd_index = 0;
  int cmd_total = 0;
  UseTracker entrypoint;
  UseTracker cmd;
  UseTracker healthcheck;

  void AddDep(StageState* dep, const std::vector<Range>& location) {
    for (auto& known : deps) {
      if (known.first != dep) continue;
      known.second = location;
      return;
    }
    deps.emplace_back(dep, location);
  }
  // Takes over what a derived stage has from its base.
  void Inherit();
};

// All stages of a file in order, images in --from included. Owns them.
class StageTable {
 public:
  StageState* New();
  // Appends; finds the base among the named ones.
  void Add(StageState* stage);
  StageState* FindByName(std::string_view name) const;
  StatusOr<StageState*> FindByIndex(int64_t index) const;
  const std::vector<StageState*>& stages() const { return stages_; }
  std::vector<std::string> Names() const;

 private:
  std::vector<std::unique_ptr<StageState>> owned_;
  std::vector<StageState*> stages_;
  std::map<std::string, StageState*, std::less<>> by_name_;
};

// The stage and all that it needs.
std::set<StageState*> ReachableStages(StageState* target);

}  // namespace kiln::dockerfile
