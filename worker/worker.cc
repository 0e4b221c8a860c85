#include "worker/worker.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "cache/mount.h"
#include "llb/graph.h"
#include "llb/proto/ops.pb.h"
#include "worker/op/cache_maps.h"
#include "worker/op/cache_mounts.h"
#include "worker/op/container.h"
#include "worker/op/failed_steps.h"
#include "worker/op/op_deps.h"
#include "worker/op/proxied_steps.h"
#include "worker/op/step_usages.h"
#include "worker/op/source_pins.h"
#include "worker/exec/runnable_platforms.h"
#include "worker/source/git/git_source.h"
#include "worker/source/http/http_source.h"
#include "worker/source/local/local_source.h"

namespace kiln::worker {

struct Worker::State {
  WorkerOptions options;
  std::vector<std::unique_ptr<Source>> sources;
  std::map<std::string, Source*, std::less<>> by_scheme;
  std::unique_ptr<exec::Executor> executor;
  std::unique_ptr<CacheMounts> cache_mounts;
  std::unique_ptr<StepLimit> limit;
  FailedSteps failed_steps;
  SourcePins pins;
  ProxiedSteps proxied;
  StepUsages usages;
  OpDeps deps;

  void AddSource(std::unique_ptr<Source> source) {
    for (const std::string& scheme : source->schemes()) by_scheme[scheme] = source.get();
    sources.push_back(std::move(source));
  }
};

namespace {

// An empty folder for mounts, sockets and secrets; what an earlier process left goes.
Status PrepareTemp(const std::string& path) {
  cache::UnmountAll(path).IgnoreError();
  RETURN_IF_ERROR(RemoveAll(path));
  return MakeDirs(path, 0711);
}

}  // namespace

Worker::Worker(std::unique_ptr<State> state) : state_(std::move(state)) {}
Worker::~Worker() = default;

StatusOr<std::unique_ptr<Worker>> Worker::Open(WorkerOptions options) {
  RETURN_IF_ERROR(MakeDirs(options.root, 0711));
  const std::string temp = JoinPath(options.root, "worker-tmp");
  RETURN_IF_ERROR(PrepareTemp(temp));
  auto state = std::make_unique<State>();
  if (options.exec.root.empty()) options.exec.root = JoinPath(options.root, "executor");
  if (options.platforms.empty()) options.platforms = {DefaultPlatform()};
  if (options.runtime == nullptr) {
    ASSIGN_OR_RETURN(options.runtime, exec::OpenRunc(options.exec.binary));
  }
  ASSIGN_OR_RETURN(state->executor,
                   exec::OpenExecutor(options.exec, std::move(options.runtime)));
  state->cache_mounts = std::make_unique<CacheMounts>(*options.refs);
  state->limit = std::make_unique<StepLimit>(options.max_parallelism);
  state->AddSource(MakeLocalSource(*options.refs, *options.sessions, temp));
  state->AddSource(MakeHttpSource(*options.refs, *options.sessions, temp));
  if (auto git = MakeGitSource(*options.refs, *options.sessions, temp, options.read_blob)) {
    state->AddSource(std::move(git));
  }
  for (std::unique_ptr<Source>& source : options.sources) state->AddSource(std::move(source));

  OpDeps& deps = state->deps;
  deps.refs = options.refs;
  deps.sessions = options.sessions;
  deps.executor = state->executor.get();
  deps.cache_mounts = state->cache_mounts.get();
  deps.limit = state->limit.get();
  deps.failed_steps = &state->failed_steps;
  deps.pins = &state->pins;
  deps.proxied = &state->proxied;
  deps.usages = &state->usages;
  deps.platforms = exec::RunnablePlatforms();
  deps.worker_id = options.id;
  deps.temp_dir = temp;
  std::unique_ptr<Worker> worker(new Worker(std::move(state)));
  worker->state_->options = std::move(options);
  worker->state_->deps.find_source = [w = worker.get()](std::string_view scheme) {
    return w->FindSource(scheme);
  };
  return worker;
}

StatusOr<std::unique_ptr<solver::Op>> Worker::Resolve(
    const std::shared_ptr<const llb::Vertex>& vertex) {
  RETURN_IF_ERROR(ValidateOp(*vertex->op));
  switch (vertex->op->op_case()) {
    case pb::Op::kSource:
      return MakeSourceOp(state_->deps, vertex);
    case pb::Op::kExec:
      return MakeExecOp(state_->deps, vertex);
    case pb::Op::kFile:
      return MakeFileOp(state_->deps, vertex);
    case pb::Op::kMerge:
      return MakeMergeOp(state_->deps, vertex);
    case pb::Op::kDiff:
      return MakeDiffOp(state_->deps, vertex);
    case pb::Op::kBuild:
      return MakeBuildOp(state_->deps, vertex);
    case pb::Op::kPassthrough:
      return MakePassthroughOp(state_->deps, vertex);
    default:
      return InvalidArgumentError("no support for <nil>");
  }
}

StatusOr<cache::Ref> Worker::LoadResult(std::string_view record_id) {
  if (record_id.empty()) return cache::Ref();
  return state_->options.refs->Get(record_id);
}

Source* Worker::FindSource(std::string_view scheme) const {
  auto found = state_->by_scheme.find(scheme);
  return found == state_->by_scheme.end() ? nullptr : found->second;
}

StatusOr<std::unique_ptr<Container>> Worker::NewContainer(ContainerRequest request) {
  return Container::New(state_->deps, std::move(request));
}
CacheMounts& Worker::cache_mounts() { return *state_->cache_mounts; }
FailedSteps& Worker::failed_steps() { return state_->failed_steps; }
ProxiedSteps& Worker::proxied_steps() { return state_->proxied; }
StepUsages& Worker::step_usages() { return state_->usages; }
void Worker::set_proxy_policies(ProxyPolicySource policies) {
  state_->deps.proxy_policy = std::move(policies);
}
SourcePins& Worker::source_pins() { return state_->pins; }
exec::Executor& Worker::executor() { return *state_->executor; }
const std::vector<Platform>& Worker::platforms() const { return state_->options.platforms; }

}  // namespace kiln::worker
