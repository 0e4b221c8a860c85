// Converter: the passes from text to a converted target stage. Inside of convert/
// only; convert.h is the door.
//
//   Parse → DeclareStages → LinkStages → ResolveStages → DispatchStages → Finalize
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "frontend/dockerfile/convert/convert.h"
#include "frontend/dockerfile/convert/dispatch.h"
#include "frontend/dockerfile/convert/stage_state.h"
#include "frontend/dockerfile/instruction.h"
#include "frontend/dockerfile/lint/linter.h"

namespace kiln::dockerfile {

// One use: make, Run, read. Not thread-safe.
class Converter {
 public:
  explicit Converter(const ConvertOptions& options);

  // The converted target; owned by the converter.
  StatusOr<StageState*> Run();
  llb::MarshalOptions marshal() const { return {target_platform_, caps_, ""}; }
  const llb::State& build_context() const { return build_context_; }

 private:
  Status Parse();
  Status ReadArgs();
  Status DeclareStages();
  Status DeclareStage(Stage stage, size_t index);
  Status ReadStagePlatform(StageState* state, const Linter& lint, std::set<std::string>* used);
  StatusOr<StageState*> FindTarget() const;
  Status LinkStages();
  StatusOr<StageCommand> ToStageCommand(const Command& command);
  StageState* Unregistered(const std::string& base_name, const std::vector<Range>& location);
  Status CheckCycles() const;
  Status ResolveStages(StageState* target);
  Status ResolveBases(const std::set<StageState*>& reachable);
  void PrefetchImages(const std::vector<StageState*>& stages);
  Status ResolveBase(StageState* stage, bool reachable);
  Status LoadNamedStage(StageState* stage);
  Status LoadBaseContext(StageState* stage, const std::string& key, const Platform& platform);
  StatusOr<bool> ResolveImage(StageState* stage, const std::string& original,
                              Platform* platform);
  ImageQuery QueryFor(const Platform& platform, const std::string& name) const;
  StatusOr<std::optional<std::string>> NamedContext(const std::string& name,
                                                    const std::optional<Platform>& platform);
  StatusOr<bool> AddTriggers(StageState* stage);
  Status DispatchStages(const std::set<StageState*>& reachable, StageState* target);
  Status DispatchStage(DispatchContext& context, StageState* stage);
  void ReadScanArgs(StageState* stage) const;
  Status Finalize(StageState* target);

  const ConvertOptions& options_;
  const Config& config_;
  std::map<std::string, std::string> build_args_;
  Platform target_platform_;
  bool implicit_target_ = false;
  llb::CapPredicate caps_;
  std::unique_ptr<Linter> lint_;
  ShellLex lex_;
  Stages parsed_;
  llb::EnvList global_args_;
  OutlineCapture outline_;
  std::set<std::string> known_args_;  // predefined and declared
  std::optional<Epoch> epoch_;
  StageTable table_;
  std::shared_ptr<llb::Output> context_output_ = std::make_shared<llb::Output>();
  llb::State build_context_;
  std::set<std::string> context_paths_;
};

// Paths for a local source to follow; empty: everything is used.
std::vector<std::string> FollowPathsOf(const std::set<std::string>& paths);

}  // namespace kiln::dockerfile
