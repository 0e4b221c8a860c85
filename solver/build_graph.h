// BuildGraph: all vertices of all builds, and the work that moves them.
//
// Not thread-safe: every method runs on the scheduler's thread, and none blocks.
// Work goes to the job pools and comes back through the mailbox. Files:
// build_graph.cc (builds and vertices), graph_edges.cc (machine, keys),
// graph_jobs.cc (maps, contents, loads), graph_runs.cc (runs in flight).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/job_pool.h"
#include "solver/cache_export.h"
#include "solver/graph.h"

namespace kiln::solver {

class JobContext;

// Runs functions on the scheduler's thread, in order. Thread-safe.
class Mailbox {
 public:
  virtual ~Mailbox() = default;
  virtual void Post(std::function<void()> function) = 0;
};

class BuildGraph {
 public:
  struct Parts {
    cache::KeyIndex& index;
    OpResolver& ops;
    JobPools pools;
    std::shared_ptr<Mailbox> mailbox;
    std::function<void()> idle;  // called after Close when the last job is back
    std::shared_ptr<JobPool> flush;  // of its own: a flush must not wait behind long jobs
  };
  explicit BuildGraph(Parts parts);
  ~BuildGraph();

  void StartBuild(BuildOptions options);
  // `ended` follows once the runs that were stopped for it have told how they ended.
  void EndBuild(const std::string& id, std::function<void()> ended = [] {});
  // Waits no longer for those of this build.
  void AbandonRuns(const std::string& id);
  void Solve(uint64_t request, const std::string& build, const llb::Edge& edge,
             const SolveOptions& options, Scheduler::Done done);
  // For an op that is running: the edge's vertices belong to all builds of `parent`.
  void SolveSub(uint64_t request, const std::shared_ptr<VertexNode>& parent,
                const llb::Edge& edge, Scheduler::Done done);
  void CancelRequest(uint64_t request, const Status& reason);
  void CancelBuild(const std::string& id, const Status& reason);
  // Null if there is no such build.
  BuildStatePtr FindBuild(const std::string& id) const {
    auto found = builds_.find(id);
    return found == builds_.end() ? nullptr : found->second.state;
  }
  // What leads to `keys`, inputs first: see cache_export.h.
  ExportPlan PlanExport(const std::vector<CacheKeyPtr>& keys) const;
  // Cancels everything; `idle` follows.
  void Close();
  // Runs `function` on the graph's thread and settles what follows from it.
  void Enter(std::function<void()> function);

  cache::KeyIndex& index() const { return parts_.index; }
  size_t vertices() const { return vertices_.size(); }
  uint64_t events() const { return events_; }  // that edges have seen

 private:
  struct Build {
    BuildStatePtr state;
    std::vector<std::shared_ptr<VertexNode>> vertices;
    std::vector<std::shared_ptr<SourceEntry>> sources;
  };
  // A build that is gone, and what it was still to hear.
  struct Ending {
    BuildStatePtr state;
    std::vector<std::shared_ptr<Flight>> runs;
    std::function<void()> ended;
  };

  // build_graph.cc
  std::vector<std::shared_ptr<VertexNode>> LetGo(const Build& build, Ending* ending);
  void FinishEndings();
  EdgeNode& LoadEdge(const llb::Edge& edge, const SolveOptions& options,
                     const std::vector<Build*>& builds, VertexNode* parent);
  std::shared_ptr<VertexNode> Intern(const std::shared_ptr<const llb::Vertex>& vertex,
                                     bool ignore_cache, std::vector<VertexNode::Input> inputs);
  void Join(Build& build, VertexNode& node);
  void ResetFailures(VertexNode& node);
  void UseSource(Build& build, VertexNode& node, const std::shared_ptr<CacheSource>& source);
  std::shared_ptr<SourceEntry> OpenSource(Build& build,
                                          const std::shared_ptr<CacheSource>& source);
  void OnSourceOpened(const std::shared_ptr<SourceEntry>& entry, const Status& status);
  void AddTable(VertexNode& node, const std::shared_ptr<KeyTable>& table);
  void AddRequest(uint64_t id, BuildStatePtr build, EdgeNode& edge, Scheduler::Done done);
  void Finish(const RequestPtr& request, StatusOr<EdgeResult> result);
  void Remove(VertexNode& node);
  EdgeNode& GetEdge(VertexNode& node, int64_t output);

  // graph_edges.cc
  void Feed(EdgeNode& edge, Event event) { queue_.emplace_back(&edge, std::move(event)); }
  void Pump();
  void Dispatch(EdgeNode& edge, Event event);
  void Perform(EdgeNode& edge, const Action& action);
  void SetWant(EdgeNode& edge, size_t dep, Level level);
  Level WantOf(const EdgeNode& edge) const;
  void OnWantChanged(EdgeNode& edge, Level before);
  bool Wanted(const VertexNode& node) const;
  void SyncConsumers(EdgeNode& edge);
  void SyncInput(EdgeNode& edge, size_t dep);
  MatchSet Probe(const EdgeNode& edge, size_t dep, std::span<const KeyWithSelector> keys,
                 const KeyTable* only = nullptr) const;
  MatchSet RootMatches(const EdgeNode& edge, const Digest& digest,
                       const KeyTable* only = nullptr) const;
  void Reprobe(EdgeNode& edge, const KeyTable& table);
  void LookUp(EdgeNode& edge, const MatchSet& matches);
  size_t AddCandidates(EdgeNode& edge, const CacheKeyPtr& key, const KeyTable& table,
                       const std::vector<CacheRecord>& records);
  std::vector<std::vector<KeyWithSelector>> KeyDeps(const EdgeNode& edge) const;
  std::vector<KeyWithSelector> InputKeys(const EdgeNode& edge, size_t dep) const;
  void Complete(EdgeNode& edge, cache::Ref ref, std::vector<CacheKeyPtr> keys, bool offer_keys);
  void Fail(EdgeNode& edge, const Status& status);
  void Settle(EdgeNode& edge);

  // graph_jobs.cc
  void Submit(JobPool& pool, std::function<void()> job);
  void JobDone();
  void AskMap(EdgeNode& edge);
  void StartMap(const std::shared_ptr<VertexNode>& node);
  void OnMap(VertexNode& node, StatusOr<CacheMapAnswer> answer, bool stopped);
  void DeliverMap(EdgeNode& edge);
  void ComputeContent(EdgeNode& edge, size_t dep);
  void StartContent(const std::shared_ptr<VertexNode>& node, EdgeNode& edge, size_t dep);
  void OnContent(VertexNode& node, size_t dep, StatusOr<Digest> digest, bool stopped);
  void DeliverContent(EdgeNode& edge, size_t dep);
  void StartLoad(EdgeNode& edge);
  void OnLoaded(EdgeNode& edge, const EdgeNode::Candidate& candidate,
                StatusOr<std::vector<CacheSource::Loaded>> loaded, bool stopped);
  std::vector<CacheKeyPtr> LoadedKeys(const EdgeNode& edge,
                                      const EdgeNode::Candidate& candidate) const;
  Status SaveLoaded(const EdgeNode::Candidate& candidate,
                    const std::vector<CacheSource::Loaded>& loaded);
  void AfterFlush(std::function<void()> then);
  void StartFlush();
  void Dispose(std::vector<cache::Ref> refs);

  // graph_runs.cc
  void StartRun(EdgeNode& edge);
  bool FindInstead(EdgeNode& edge);
  void MakeFinalKeys(EdgeNode& edge);
  std::vector<std::set<std::string>> Anchors(const CacheKey& key) const;
  std::shared_ptr<Flight> FindFlight(const EdgeNode& edge);
  void Launch(EdgeNode& edge);
  void RunOp(const std::shared_ptr<Flight>& flight, std::vector<cache::Ref> inputs);
  void JoinFlight(EdgeNode& edge, const std::shared_ptr<Flight>& flight);
  void LeaveFlight(EdgeNode& edge);
  void Unlist(const Flight& flight);
  void OnRun(const std::shared_ptr<Flight>& flight, StatusOr<std::vector<cache::Ref>> outputs,
             bool stopped);
  void TakeOutput(EdgeNode& edge, const VertexNode& ran);
  void ReportRun(VertexNode& node);
  void KeepUnwanted(const Flight& flight);

  // graph_recipes.cc
  void NoteMiss(EdgeNode& edge);
  std::string RecipeOf(const VertexNode& node, const CacheKey& key, const EdgeNode* edge) const;
  void NoteKey(const VertexNode& node, const CacheKey& key);
  std::string StepOf(const VertexNode& node) const;
  void NoteSteps(const Build& build);
  std::function<void()> MissReport(const VertexNode& node) const;

  Parts parts_;
  std::shared_ptr<KeyTable> local_;
  std::unordered_map<std::string, Build> builds_;
  std::vector<Ending> endings_;
  std::unordered_map<Digest, std::shared_ptr<VertexNode>> vertices_;
  std::unordered_map<uint64_t, RequestPtr> requests_;
  std::unordered_map<Digest, std::vector<std::shared_ptr<Flight>>> flights_;  // by cache map digest
  std::deque<std::pair<EdgeNode*, Event>> queue_;
  std::vector<std::function<void()>> after_flush_;
  bool flushing_ = false;
  size_t jobs_ = 0;
  bool closing_ = false;
  uint64_t events_ = 0;
};

// "vertex" detail of the reference's errors, unless one is there already.
Status WithVertex(Status status, const Digest& vertex);

}  // namespace kiln::solver
