// OfflineBridge: a Bridge without a daemon. Solves yield references that hold files
// given beforehand; what the frontend asked for and returned is kept.
//
// For debugging and for tests: nothing is run.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "frontend/bridge.h"
#include "frontend/dockerfile/offline/image_catalog.h"

namespace kiln::dockerfile {

// Text of `file` in the local directory `local` (empty: any source that is no local
// directory). NOT_FOUND if there is none.
using FileLookup =
    std::function<StatusOr<std::string>(const std::string& local, const std::string& file)>;

// Thread-safe.
class OfflineBridge : public frontend::Bridge {
 public:
  OfflineBridge(frontend::BuildOpts opts, ImageCatalog images, FileLookup files,
                std::map<std::string, frontend::DefinitionPtr> inputs = {});

  const frontend::BuildOpts& build_opts() const override { return opts_; }
  StatusOr<frontend::Result> Solve(const frontend::SolveRequest& request,
                                   std::stop_token stop) override;
  StatusOr<frontend::SourceMeta> ResolveSourceMeta(const pb::SourceOp& source,
                                                   const frontend::ResolveRequest& request,
                                                   std::stop_token stop) override;
  StatusOr<std::map<std::string, frontend::DefinitionPtr>> Inputs() override { return inputs_; }
  void Warn(const frontend::Warning& warning) override;

  std::vector<frontend::Warning> warnings() const;
  std::vector<frontend::SolveRequest> solves() const;

 private:
  frontend::BuildOpts opts_;
  ImageCatalog images_;
  FileLookup files_;
  std::map<std::string, frontend::DefinitionPtr> inputs_;
  mutable std::mutex mutex_;
  std::vector<frontend::Warning> warnings_;
  std::vector<frontend::SolveRequest> solves_;
};

// The definition's bytes with the random ids of progress groups replaced by
// "progress-group-1", … in order of first appearance.
std::string StableDefinition(const pb::Definition& definition);

}  // namespace kiln::dockerfile
