// BuildBridge: the Bridge that control gives to each frontend of a build.
//
// Nested frontends get a bridge of their own with their own options; all share
// the BuildContext.
#pragma once

#include "control/build_context.h"
#include "control/policy/source_policy.h"
#include "control/provenance_scope.h"
#include "frontend/bridge.h"

namespace kiln::worker::proxy {
struct ProxyConfig;  // worker/proxy/proxy_config.h
}

namespace kiln::control {

// Thread-safe.
class BuildBridge : public frontend::Bridge {
 public:
  BuildBridge(BuildContextPtr build, ProvenanceScopePtr scope, frontend::BuildOpts opts,
              std::map<std::string, frontend::DefinitionPtr> inputs)
      : build_(std::move(build)),
        scope_(std::move(scope)),
        opts_(std::move(opts)),
        inputs_(std::move(inputs)) {}

  const frontend::BuildOpts& build_opts() const override { return opts_; }
  StatusOr<frontend::Result> Solve(const frontend::SolveRequest& request,
                                   std::stop_token stop) override;
  StatusOr<frontend::SourceMeta> ResolveSourceMeta(const pb::SourceOp& source,
                                                   const frontend::ResolveRequest& request,
                                                   std::stop_token stop) override;
  StatusOr<std::map<std::string, frontend::DefinitionPtr>> Inputs() override { return inputs_; }
  void Warn(const frontend::Warning& warning) override;

  const BuildContextPtr& build() const { return build_; }
  // A source as the policies of the build want it; an error if they do not.
  Status ApplyPolicies(pb::Op* op, std::stop_token stop);
  // For a container of a frontend or a client: null if it may do without the proxy. `network`
  // is a pb::NetMode.
  StatusOr<std::shared_ptr<const worker::proxy::ProxyConfig>> ProxyFor(int network) const;

 private:
  StatusOr<frontend::DefinitionPtr> WithPolicy(const frontend::SolveRequest& request,
                                               std::stop_token stop);
  Status ApplyPolicies(pb::Op* op, std::vector<std::string> more, std::stop_token stop);
  StatusOr<SourcePolicy> PolicyOf(std::vector<std::string> more) const;
  Status ApplyPolicy(const SourcePolicy& policy, pb::Op* op, std::stop_token stop);
  StatusOr<frontend::SourceMeta> Resolve(const pb::SourceOp& source,
                                         const frontend::ResolveRequest& request,
                                         const pb::SourceOp& asked, std::stop_token stop);
  void RegisterOrigins(const frontend::Result& result);
  void NoteImage(const frontend::SourceMeta& meta, const std::optional<Platform>& platform);
  StatusOr<frontend::Result> SolveDefinition(const frontend::SolveRequest& request,
                                             std::stop_token stop);
  StatusOr<frontend::Result> SolveFrontend(const frontend::SolveRequest& request,
                                           std::stop_token stop);

  BuildContextPtr build_;
  ProvenanceScopePtr scope_;
  frontend::BuildOpts opts_;
  std::map<std::string, frontend::DefinitionPtr> inputs_;
};

// Options as a frontend of this build sees them.
frontend::BuildOpts OptsFor(const BuildContext& build, frontend::StringMap opts);
// Evaluates every reference of `result`; the first failure.
Status EvaluateAll(const frontend::Result& result);

}  // namespace kiln::control
