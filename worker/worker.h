// Worker: everything that can run on this machine, bundled for the solver.
//
// Owns the sources and the executor, borrows the record store and the session
// table, and makes the Op of each vertex. What a single op does is in worker/op.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/platform.h"
#include "base/status.h"
#include "cache/ref.h"
#include "cache/ref_store.h"
#include "solver/op.h"
#include "worker/client_session.h"
#include "worker/exec/container_runtime.h"
#include "worker/exec/executor.h"
#include "worker/proxy/proxy_config.h"
#include "worker/source/blob_query.h"
#include "worker/source/source.h"

namespace kiln::worker {

class Container;          // worker/op/container.h
struct ContainerRequest;
class CacheMounts;         // worker/op/cache_mounts.h
class FailedSteps;        // worker/op/failed_steps.h
class ProxiedSteps;  // worker/op/proxied_steps.h
class SourcePins;  // worker/op/source_pins.h
class StepUsages;  // worker/op/step_usages.h

struct WorkerOptions {
  std::string root;                         // state folder of the worker; made if missing
  std::string id = {};                      // as clients see it
  cache::RefStore* refs = nullptr;          // must outlive the worker
  SessionTable* sessions = nullptr;         // must outlive the worker
  std::vector<std::unique_ptr<Source>> sources = {};  // beside local, http and git
  ReadBlob read_blob = {};                  // for git bundles; may be empty
  std::unique_ptr<exec::ContainerRuntime> runtime = nullptr;  // null: runc as in `exec`
  exec::ExecutorOptions exec = {};          // `root` is filled in from above if empty
  size_t max_parallelism = 0;               // steps at once; 0: no limit
  std::vector<Platform> platforms = {};     // empty: this machine's
};

// Thread-safe. Must outlive the ops it made.
class Worker : public solver::OpResolver {
 public:
  // Cleans up what an earlier process left (containers, mounts, bundles).
  static StatusOr<std::unique_ptr<Worker>> Open(WorkerOptions options);
  ~Worker() override;

  StatusOr<std::unique_ptr<solver::Op>> Resolve(
      const std::shared_ptr<const llb::Vertex>& vertex) override;
  StatusOr<cache::Ref> LoadResult(std::string_view record_id) override;

  // The source for a scheme, or null.
  Source* FindSource(std::string_view scheme) const;
  // What the sources of running builds turned out to be.
  SourcePins& source_pins();
  // What the steps of running builds fetched through the proxy.
  ProxiedSteps& proxied_steps();
  // What those that ran have used.
  StepUsages& step_usages();
  // Who is asked what builds, by their ids, think of it. Before the first build.
  void set_proxy_policies(
      std::function<proxy::ProxyPolicy(const std::vector<std::string>& ids)> policies);
  exec::Executor& executor();
  // A container for a client of the gateway. The worker outlives it.
  StatusOr<std::unique_ptr<Container>> NewContainer(ContainerRequest request);
  FailedSteps& failed_steps();
  CacheMounts& cache_mounts();
  const std::vector<Platform>& platforms() const;

 private:
  struct State;
  explicit Worker(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kiln::worker
