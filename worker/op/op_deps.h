// What ops need of the worker that made them. All of it outlives the ops.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/platform.h"
#include "cache/ref_store.h"
#include "solver/op.h"
#include "worker/client_session.h"
#include "worker/exec/executor.h"
#include "worker/exec/step_limit.h"
#include "worker/proxy/proxy_config.h"
#include "worker/source/source.h"

namespace kiln::worker {

class CacheMounts;
class FailedSteps;
class ProxiedSteps;
class SourcePins;
class StepUsages;

// What the builds of these ids think of requests through the proxy.
using ProxyPolicySource = std::function<proxy::ProxyPolicy(const std::vector<std::string>& ids)>;

struct OpDeps {
  cache::RefStore* refs = nullptr;
  SessionTable* sessions = nullptr;
  exec::Executor* executor = nullptr;
  CacheMounts* cache_mounts = nullptr;
  StepLimit* limit = nullptr;
  FailedSteps* failed_steps = nullptr;
  SourcePins* pins = nullptr;
  ProxiedSteps* proxied = nullptr;
  StepUsages* usages = nullptr;
  ProxyPolicySource proxy_policy;
  std::function<Source*(std::string_view scheme)> find_source;
  std::vector<Platform> platforms;  // whose programs the kernel runs
  std::string worker_id;  // for messages
  std::string temp_dir;  // for sockets and secrets; emptied at start
};

using VertexPtr = std::shared_ptr<const llb::Vertex>;

// One maker per kind; the vertex's op is validated already.
std::unique_ptr<solver::Op> MakeSourceOp(const OpDeps& deps, VertexPtr vertex);
std::unique_ptr<solver::Op> MakeExecOp(const OpDeps& deps, VertexPtr vertex);
std::unique_ptr<solver::Op> MakeFileOp(const OpDeps& deps, VertexPtr vertex);
std::unique_ptr<solver::Op> MakeMergeOp(const OpDeps& deps, VertexPtr vertex);
std::unique_ptr<solver::Op> MakeDiffOp(const OpDeps& deps, VertexPtr vertex);
std::unique_ptr<solver::Op> MakePassthroughOp(const OpDeps& deps, VertexPtr vertex);
std::unique_ptr<solver::Op> MakeBuildOp(const OpDeps& deps, VertexPtr vertex);

}  // namespace kiln::worker
