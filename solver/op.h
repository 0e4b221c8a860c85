// Op: how to key and how to run a vertex, without the solver knowing containers.
//
// Declared here, implemented in worker/op (one of the three upward calls). The
// scheduler calls each method as a job on a pool; both block as they like.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/status.h"
#include "cache/ref.h"
#include "llb/graph.h"
#include "solver/progress.h"

namespace kiln::solver {

// What a running job of a vertex may ask. Thread-safe; lives as long as the job.
// Work done for a vertex when its job is over, such as bringing in an image's layers
// once somebody needs them: the vertex is shown as started from the first Begin to the
// last End. Thread-safe; may outlive the build.
class LateWork {
 public:
  virtual ~LateWork() = default;
  virtual void Begin() = 0;
  virtual void End(const Status& status) = 0;
  virtual VertexProgress& progress() = 0;
};

class JobContext {
 public:
  virtual ~JobContext() = default;
  // Sessions of the builds that want the vertex now; the list grows and shrinks.
  virtual std::vector<std::string> Sessions() const = 0;
  // Ids of those builds (SolveRequest.Ref).
  virtual std::vector<std::string> Builds() const = 0;
  virtual VertexProgress& progress() = 0;
  // Null if nobody hears of it.
  virtual std::shared_ptr<LateWork> late_work() { return nullptr; }
  // Fires when no build wants the vertex any more.
  virtual std::stop_token stop() const = 0;
  // Digest-affecting behaviour that the build pins (10, 20, 30).
  virtual int compatibility_version() const = 0;
  // Solves an edge as part of this vertex, for all of its builds. Blocks; only from
  // Exec of an op whose pool is kOwnThread (a job on a pool never waits for a job).
  virtual StatusOr<cache::Ref> SubBuild(const llb::Edge& edge) = 0;
  // Keeps what a content digest was made of, for who explains a miss; `files` is called
  // only if that is not known. See cache/contenthash/content_files.h.
  virtual void NoteFiles(const Digest&, const std::function<std::string()>& /*files*/) {}
  // A value computed once per build and key, shared by its vertices (image resolution …).
  virtual StatusOr<std::string> Memo(std::string_view key,
                                     const std::function<StatusOr<std::string>()>& compute) = 0;
};

// Content digest of an input, used as its second, slower key.
using ContentDigestFn = std::function<StatusOr<Digest>(const cache::Ref& input, JobContext&)>;
// Runs when an input's result arrives, before its content digest (unlazying).
using PreprocessFn = std::function<Status(const cache::Ref& input, JobContext&)>;

// How a vertex is keyed: its own digest, and per input what of it counts.
struct CacheMap {
  Digest digest;
  struct Dep {
    Digest selector;                    // empty: the whole input
    ContentDigestFn content_digest;     // null: keyed by definition only
    PreprocessFn preprocess;            // may be null
  };
  std::vector<Dep> deps;                // one per input
};

// One cache map of perhaps several (a source may offer a better one later).
struct CacheMapAnswer {
  CacheMap map;
  bool complete = true;  // false: ask again with the next index
};

// One object per vertex, shared by all builds that have it. Thread-safe; the
// scheduler never runs two calls of one Op at a time.
class Op {
 public:
  virtual ~Op() = default;
  virtual StatusOr<CacheMapAnswer> GetCacheMap(int index, JobContext& context) = 0;
  // Whether GetCacheMap only computes, and little. With inputs it is then called on the
  // scheduler's own thread: what is wrong with the vertex is known before they start.
  virtual bool HasQuickMap() const { return false; }
  // Runs the vertex. `inputs` has one Ref per input of the vertex; the answer has
  // one per output. CANCELLED when the stop token fired.
  virtual StatusOr<std::vector<cache::Ref>> Exec(const std::vector<cache::Ref>& inputs,
                                                 JobContext& context) = 0;
  // Which pool runs Exec; kOwnThread is for ops that wait for a SubBuild.
  enum class Pool { kExec, kNetwork, kDisk, kOwnThread };
  virtual Pool pool() const = 0;
};

// Makes the Op of a vertex. INVALID_ARGUMENT for ops that no worker can run.
class OpResolver {
 public:
  virtual ~OpResolver() = default;
  virtual StatusOr<std::unique_ptr<Op>> Resolve(const std::shared_ptr<const llb::Vertex>& vertex) = 0;
  // Loads the record behind a cached result. NOT_FOUND makes it a miss.
  virtual StatusOr<cache::Ref> LoadResult(std::string_view record_id) = 0;
};

}  // namespace kiln::solver
