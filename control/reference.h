// SolvedReference: a result of a definition, evaluated when somebody needs it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cache/mount.h"
#include "control/build_context.h"
#include "control/provenance_scope.h"
#include "frontend/bridge.h"
#include "llb/graph.h"
#include "solver/scheduler.h"

namespace kiln::control {

// Detail of a failed step: an errdefs.Solve without ids, for the gateway to complete.
// Like everything under kiln/ it stays in the process.
inline constexpr std::string_view kStepUrl = "kiln/step";

// Shared and thread-safe. Every frontend::Reference of a build is one of these.
class SolvedReference : public frontend::Reference {
 public:
  SolvedReference(BuildContextPtr build, ProvenanceScopePtr scope,
                  frontend::DefinitionPtr definition, llb::Edge edge,
                  std::vector<std::shared_ptr<solver::CacheSource>> cache_sources);

  StatusOr<std::string> ReadFile(std::string_view path,
                                 const frontend::ReadFileOptions& options) override;
  StatusOr<std::vector<frontend::FileStat>> ReadDir(std::string_view path,
                                                    std::string_view include_pattern) override;
  StatusOr<frontend::FileStat> StatFile(std::string_view path) override;
  Status Evaluate() override;
  frontend::DefinitionPtr definition() const override { return definition_; }

  // Evaluates if needed. The pointer lives as long as the reference.
  StatusOr<const solver::EdgeResult*> Get();
  // Evaluating ends with `why`. Called before anybody else has the reference.
  void Refuse(Status why) { failure_ = std::move(why); }
  // Where it was made.
  const ProvenanceScopePtr& scope() const { return scope_; }

 private:
  StatusOr<std::string> MountedPath();
  Status WithSources(Status status) const;
  std::string StepDetail(const std::string& digest) const;

  BuildContextPtr build_;
  ProvenanceScopePtr scope_;
  frontend::DefinitionPtr definition_;
  llb::Edge edge_;
  std::vector<std::shared_ptr<solver::CacheSource>> cache_sources_;
  std::mutex mutex_;  // held while evaluating: others wait for the same result
  std::optional<solver::EdgeResult> result_;
  std::optional<Status> failure_;
  std::optional<cache::LocalMount> mount_;
};

// Tree of a reference, scratch for null; evaluates. FAILED_PRECONDITION never.
StatusOr<cache::Ref> RefOf(const frontend::ReferencePtr& reference);

}  // namespace kiln::control
