// The edge machine: what to do next for one edge, as a pure function.
//
// An edge is one output of one vertex. The machine knows how far its inputs have
// come and which keys they led to; it does not know what a key is, and has no
// clock, thread or disk. The scheduler (scheduler.h) turns the world into events
// and actions into work. docs/dev/solver.md has the diagram and the rules' reasons.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace kiln::solver {

// How far an edge has come, and how far somebody wants it to come.
enum class Level {
  kInitial,    // nothing is known
  kCacheFast,  // all keys that follow from definitions alone are known
  kCacheSlow,  // all keys are known; only running it can tell more
  kComplete,   // there is a result
};

// Ids of stored keys; opaque here, equal means the same key of the same cache.
using MatchSet = std::set<std::string>;

struct DepState {
  Level level = Level::kInitial;
  Level wanted = Level::kInitial;  // what was last asked of the input
  bool has_content = false;        // its result has a content key
  bool has_preprocess = false;     // its result needs work before it is used
  bool content_running = false;
  bool content_done = false;
  MatchSet matches;                // keys of this edge to which this input leads

  bool ContentOpen() const { return has_content && !content_done; }
  bool WorkOpen() const { return (has_content || has_preprocess) && !content_done; }
  bool Closed() const { return level >= Level::kCacheSlow && !ContentOpen(); }
};

struct EdgeState {
  enum class Work { kNone, kLoading, kRunning };

  explicit EdgeState(size_t inputs = 0) : deps(inputs) {}

  Level level = Level::kInitial;
  Level want = Level::kInitial;  // the most that any consumer wants
  bool failed = false;
  bool map_asked = false;
  bool has_map = false;
  bool map_complete = false;
  std::vector<DepState> deps;
  MatchSet root_matches;         // keys of an edge without inputs
  MatchSet matched;              // keys to which all inputs lead; looked up
  size_t looking = 0;            // answers on their way, before which nothing is decided
  size_t records = 0;            // results under those keys that were not tried yet
  Work work = Work::kNone;
};

struct DepKind {
  bool has_content = false;
  bool has_preprocess = false;
};

namespace event {
struct Wanted { Level level; };                      // the consumers' maximum changed
struct MapArrived {                                  // next cache map of the op
  std::vector<DepKind> deps;
  bool complete = true;
  MatchSet root_matches;
};
struct RootMatched { MatchSet matches; };             // another cache answered, no inputs
struct DepMatched { size_t dep; MatchSet matches; };  // new keys of an input led to these
struct DepReached { size_t dep; Level level; };
struct ContentArrived { size_t dep; MatchSet matches; };
struct RecordsFound { size_t count; };               // answer to LookUp
struct FoundInstead { size_t count; };               // answer to Run: somebody was faster
struct LoadMissed { size_t left; };                  // a result could not be loaded
struct MapStopped {};                                // jobs that ended early because
struct ContentStopped { size_t dep; };               // nobody wanted them: ask again
struct WorkStopped {};                               // if that has changed
struct Completed {};                                 // Load or Run gave a result
struct Failed {};
}  // namespace event

using Event = std::variant<event::Wanted, event::MapArrived, event::RootMatched,
                           event::DepMatched, event::DepReached, event::ContentArrived, event::RecordsFound, event::FoundInstead, event::LoadMissed, event::MapStopped, event::ContentStopped, event::WorkStopped,
                           event::Completed, event::Failed>;

namespace action {
struct AskMap {};                            // → MapArrived | MapStopped | Failed
struct Want { size_t dep; Level level; };    // kInitial withdraws
struct ComputeContent { size_t dep; };       // → ContentArrived | ContentStopped | Failed
struct LookUp { MatchSet matches; };         // → RecordsFound, always
struct Load {};                              // → Completed | LoadMissed | WorkStopped
struct Run {};                               // → Completed | Failed | WorkStopped | FoundInstead
}  // namespace action

using Action = std::variant<action::AskMap, action::Want, action::ComputeContent, action::LookUp,
                            action::Load, action::Run>;

// What consumers see of its level. An edge that some cache knows by definition has told all
// the keys that count: inputs are not run to learn other names of what is known already,
// which would make the hits above it depend on who is first.
Level ShownLevel(const EdgeState& state);

// Applies one event. The actions are to be done in order.
std::vector<Action> Step(EdgeState& state, const Event& event);

}  // namespace kiln::solver
