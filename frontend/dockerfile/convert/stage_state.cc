#include "frontend/dockerfile/convert/stage_state.h"

#include "base/strings.h"

namespace kiln::dockerfile {

void StageState::Inherit() {
  if (base == nullptr) return;
  state = base->state;
  platform = base->platform;
  // The history stays with the base until the end: copied here, it would make long
  // chains of stages cost the square of their length.
  image.created = base->image.created;
  image.author = base->image.author;
  image.platform = base->image.platform;
  image.rootfs_type = base->image.rootfs_type;
  image.diff_ids = base->image.diff_ids;
  image.config = base->image.config;
  image.history.clear();
  // Triggers are for the stage right on top of an image only.
  image.config.on_build.clear();
  base_image = base->base_image;
  paths = base->paths;
  workdir_set = base->workdir_set;
  build_args.insert(build_args.end(), base->build_args.begin(), base->build_args.end());
}

StageState* StageTable::New() {
  owned_.push_back(std::make_unique<StageState>());
  return owned_.back().get();
}

void StageTable::Add(StageState* stage) {
  stages_.push_back(stage);
  if (auto found = by_name_.find(stage->stage.base_name); found != by_name_.end()) {
    stage->base = found->second;
    stage->outline = found->second->outline;
  }
  if (!stage->stage.name.empty()) by_name_[ToLower(stage->stage.name)] = stage;
}

StageState* StageTable::FindByName(std::string_view name) const {
  auto found = by_name_.find(ToLower(name));
  return found == by_name_.end() ? nullptr : found->second;
}

StatusOr<StageState*> StageTable::FindByIndex(int64_t index) const {
  if (index < 0 || index >= static_cast<int64_t>(stages_.size())) {
    return UnknownError(StrCat("invalid stage index ", index));
  }
  return stages_[static_cast<size_t>(index)];
}

std::vector<std::string> StageTable::Names() const {
  std::vector<std::string> names;
  for (const StageState* stage : stages_) {
    if (!stage->stage_name.empty()) names.push_back(stage->stage_name);
  }
  return names;
}

std::set<StageState*> ReachableStages(StageState* target) {
  std::set<StageState*> found = {target};
  std::vector<StageState*> pending = {target};
  while (!pending.empty()) {
    StageState* stage = pending.back();
    pending.pop_back();
    if (stage->base != nullptr && found.insert(stage->base).second) {
      pending.push_back(stage->base);
    }
    for (const auto& [dep, location] : stage->deps) {
      if (found.insert(dep).second) pending.push_back(dep);
    }
  }
  return found;
}

}  // namespace kiln::dockerfile
