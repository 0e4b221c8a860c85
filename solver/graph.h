// The graph's nodes: vertices, their edges, runs in flight. Plain state; what is
// done with it is in build_graph.h. Scheduler's thread only, except where said.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/digest.h"
#include "base/status.h"
#include "cache/ref.h"
#include "llb/graph.h"
#include "solver/audience.h"
#include "solver/cache_key.h"
#include "solver/edge_machine.h"
#include "solver/key_table.h"
#include "solver/op.h"
#include "solver/scheduler.h"

namespace kiln::solver {

struct EdgeNode;
struct VertexNode;

// Somebody outside the graph who waits for an edge.
struct Request {
  uint64_t id = 0;
  BuildStatePtr build;  // null for a sub-build, which lives as long as its parent's run
  EdgeNode* edge = nullptr;
  Scheduler::Done done;
};
using RequestPtr = std::shared_ptr<Request>;

// One run of an op, and the edges that wait for it: outputs of its vertex, and
// edges of other vertices with the same final key.
struct Flight {
  std::shared_ptr<VertexNode> vertex;
  std::vector<EdgeNode*> members;
  std::stop_source stop;
  // What makes another edge equal: a digest in common, and per input a key in common.
  std::vector<Digest> digests;
  std::vector<std::set<std::string>> anchors;
  // Of the edge that started it, which may have gone when the result comes.
  std::vector<std::shared_ptr<CacheKey>> keys;
  int64_t output = 0;
};

struct EdgeNode {
  EdgeNode(VertexNode& owner, int64_t index, size_t input_count)
      : vertex(owner), output(index), state(input_count), inputs(input_count) {}

  VertexNode& vertex;
  const int64_t output;
  EdgeState state;

  struct Input {
    EdgeNode* edge = nullptr;  // made when first wanted
    size_t seen = 0;           // keys of it that were looked up
    CacheKeyPtr content;
  };
  std::vector<Input> inputs;
  struct Consumer {
    EdgeNode* edge;
    size_t dep;
    Level want;
  };
  std::vector<Consumer> consumers;
  std::vector<RequestPtr> requests;

  std::vector<CacheKeyPtr> keys;  // offered to consumers; grows only
  struct Candidate {
    CacheRecord record;
    CacheKeyPtr key;
    const KeyTable* table;
  };
  std::vector<Candidate> candidates;  // results that may be loaded
  std::set<std::string> tried;        // those that were, or are in `candidates`
  std::stop_source load_stop;

  size_t maps_seen = 0;
  std::vector<Digest> map_digests;
  bool run_deferred = false;  // until the vertex's sources are open
  std::shared_ptr<Flight> flight;
  std::vector<std::shared_ptr<CacheKey>> final_keys;  // while in flight

  std::optional<cache::Ref> result;
  std::vector<CacheKeyPtr> result_keys;
  Status error;
};

// An imported cache of a build, while its graph is being fetched and after.
struct SourceEntry {
  std::shared_ptr<CacheSource> source;
  std::shared_ptr<KeyTable> table;  // null until opened
  bool failed = false;
  std::string error;
  std::vector<std::weak_ptr<VertexNode>> waiting;
};

struct VertexNode : std::enable_shared_from_this<VertexNode> {
  Digest digest;    // as shown; differs from the op's if run without cache beside a cached one
  Digest original;  // of the op
  std::shared_ptr<const llb::Vertex> vertex;
  bool ignore_cache = false;
  std::optional<bool> export_cache;
  struct Input {
    VertexNode* vertex;
    int64_t output;
  };
  std::vector<Input> inputs;
  std::map<int64_t, std::unique_ptr<EdgeNode>> edges;
  std::shared_ptr<Audience> audience;                // thread-safe
  std::unordered_set<VertexNode*> sub_vertices;      // brought in by its run
  std::vector<CacheKeyPtr> sub_keys;                 // keys of their results
  std::vector<std::shared_ptr<KeyTable>> tables;     // the local one first
  std::set<const CacheSource*> sources;
  size_t opening = 0;                                // sources that have not answered

  std::shared_ptr<Op> op;  // made by the first map job
  std::vector<CacheMap> maps;
  bool maps_complete = false;
  bool map_running = false;
  Status map_error;
  struct Content {
    bool running = false;
    bool done = false;
    CacheKeyPtr key;  // null if the input has no content key
    Status error;
  };
  std::vector<Content> contents;  // one per input
  std::stop_source stop;          // of map and content jobs

  std::shared_ptr<Flight> flight;
  std::optional<std::vector<cache::Ref>> outputs;
  Status run_error;
  bool run_reported = false;  // "completed" was said
  std::string recipe;         // of a miss: see graph_recipes.cc
  bool shared_run = false;    // an equal vertex ran for it
  bool dead = false;  // out of the graph; kept by jobs that still run
};

}  // namespace kiln::solver
