// Scheduler: the one thread that owns the build graph.
//
// Its state is touched only on that thread, so solver/ has no locks around the
// graph. Ops run on the job pools and come back as messages posted to the loop.
// What it decides per edge is the pure function in edge_machine.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/job_pool.h"
#include "base/status.h"
#include "cache/index/key_index.h"
#include "cache/ref.h"
#include "llb/graph.h"
#include "solver/op.h"
#include "solver/progress.h"

namespace kiln::solver {

class CacheKey;      // cache_key.h
class CacheSource;   // cache_source.h: an imported cache
struct ExportPlan;   // cache_export.h: the keys that lead to a result

// What a build asks for and listens with. `progress` must outlive the build's last callback.
struct BuildOptions {
  std::string id;          // SolveRequest.Ref
  std::string session;     // its client's session; more can be added
  std::shared_ptr<ProgressSink> progress;
  int compatibility_version = 0;
  bool explain = false;    // says in a step's output why it runs
};

// The result of an edge: a tree, and the keys under which it was found or saved.
struct EdgeResult {
  cache::Ref ref;
  std::vector<std::shared_ptr<const CacheKey>> keys;
};

struct SolveOptions {
  bool ignore_cache = false;                                 // no-cache for the whole request
  std::vector<std::shared_ptr<CacheSource>> cache_sources = {};  // imports, asked beside the local index
};

// Thread-safe: every method posts to the loop.
class Scheduler {
 public:
  using Done = std::function<void(StatusOr<EdgeResult>)>;

  Scheduler(cache::KeyIndex& index, OpResolver& ops, JobPools pools);
  ~Scheduler();  // Cancels what is running and joins the loop.

  // Registers a build; its vertices' progress goes to its sink from now on.
  void StartBuild(BuildOptions options);
  // Forgets the build and withdraws its interest; ops that nobody else wants stop.
  // Blocks until they have told the build how they ended, for seconds at most.
  void EndBuild(const std::string& build);

  // Solves one edge for `build`. `done` runs once, on the loop thread; it must not
  // block. Equal edges asked for by several builds are solved once and shared.
  void Solve(const std::string& build, llb::Edge edge, SolveOptions options, Done done);
  // The same from a thread that may wait (never a pool thread).
  StatusOr<EdgeResult> SolveAndWait(const std::string& build, llb::Edge edge,
                                    SolveOptions options, std::stop_token stop);

  // What leads to the keys of a result, for ExportCache (cache_export.h). Waits for
  // the loop; the keys' builds must not have ended.
  ExportPlan PlanExport(const std::vector<std::shared_ptr<const CacheKey>>& keys);

  // The build's memo (JobContext::Memo) for work on its behalf outside of ops. Blocks.
  StatusOr<std::string> Memo(const std::string& build, std::string_view key,
                             const std::function<StatusOr<std::string>()>& compute);
  // Keeps `object` until `build` ends; drops it if there is no such build. Blocks.
  void Hold(const std::string& build, std::shared_ptr<void> object);

  // Withdraws every request of `build` with `reason` as its error.
  void Cancel(const std::string& build, Status reason);

 private:
  struct Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace kiln::solver
