#include "solver/edge_machine.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/status.h"

namespace kiln::solver {
namespace {

using Actions = std::vector<Action>;

template <typename... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

MatchSet Minus(const MatchSet& from, const MatchSet& what) {
  MatchSet left;
  std::set_difference(from.begin(), from.end(), what.begin(), what.end(),
                      std::inserter(left, left.end()));
  return left;
}

MatchSet Intersect(const MatchSet& a, const MatchSet& b) {
  MatchSet both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(both, both.end()));
  return both;
}

// Keys to which every input leads and that were not looked up yet.
MatchSet FreshMatches(const EdgeState& state) {
  if (!state.has_map) return {};
  if (state.deps.empty()) return Minus(state.root_matches, state.matched);
  MatchSet fresh = Minus(state.deps[0].matches, state.matched);
  for (size_t i = 1; i < state.deps.size() && !fresh.empty(); ++i) {
    fresh = Intersect(fresh, state.deps[i].matches);
  }
  return fresh;
}

// An input that has told all its keys limits what can still be found: only a key
// that every such input leads to. None left means that nothing more can match.
bool NothingCanMatch(const EdgeState& state) {
  bool any_closed = false;
  MatchSet open;
  for (const DepState& dep : state.deps) {
    if (!dep.Closed()) continue;
    MatchSet mine = Minus(dep.matches, state.matched);
    open = any_closed ? Intersect(open, mine) : std::move(mine);
    any_closed = true;
    if (open.empty()) return true;
  }
  return false;
}

Level ReachedLevel(const EdgeState& state) {
  if (!state.has_map) return Level::kInitial;
  if (state.deps.empty()) {
    bool known = state.map_complete || !state.matched.empty();
    return known ? Level::kCacheSlow : Level::kInitial;
  }
  if (NothingCanMatch(state)) return Level::kCacheSlow;
  Level all = Level::kCacheSlow;
  bool fast_is_decided = false;
  for (const DepState& dep : state.deps) {
    Level most = dep.ContentOpen() ? Level::kCacheFast : Level::kCacheSlow;
    all = std::min({all, dep.level, most});
    // Without a match by definition of this input there is none of the edge.
    fast_is_decided = fast_is_decided || (dep.level >= Level::kCacheFast &&
                                          Minus(dep.matches, state.matched).empty());
  }
  return fast_is_decided ? std::max(all, Level::kCacheFast) : all;
}

// How far input `dep` has to come for the edge to move on. Inputs that led to no
// key decide first; the others wait, since they may never be needed. kInitial:
// nothing is needed of it now.
Level NeededLevel(const EdgeState& state, const DepState& dep, bool undecided) {
  bool to_run = state.want == Level::kComplete && state.records == 0;
  if (state.level >= Level::kCacheSlow) return to_run ? Level::kComplete : Level::kInitial;
  if (dep.level < Level::kCacheFast || !state.has_map || state.want == Level::kCacheFast) {
    return Level::kCacheFast;
  }
  if (undecided && !dep.matches.empty()) return Level::kInitial;
  if (dep.level < Level::kCacheSlow) return Level::kCacheSlow;
  return dep.ContentOpen() ? Level::kComplete : Level::kInitial;
}

void Withdraw(EdgeState& state, Actions& actions) {
  for (size_t i = 0; i < state.deps.size(); ++i) {
    DepState& dep = state.deps[i];
    if (dep.wanted != Level::kInitial) {
      dep.wanted = Level::kInitial;
      actions.push_back(action::Want{i, Level::kInitial});
    }
  }
}

// Asks of the inputs what they are needed for. Wants only grow here: an input
// that has started for us goes on until the edge is decided.
void MoveInputs(EdgeState& state, Actions& actions) {
  bool undecided = std::any_of(
      state.deps.begin(), state.deps.end(),
      [](const DepState& dep) { return dep.matches.empty() && !dep.Closed(); });
  for (size_t i = 0; i < state.deps.size(); ++i) {
    DepState& dep = state.deps[i];
    Level needed = NeededLevel(state, dep, undecided);
    if (needed > dep.level && needed > dep.wanted) {
      dep.wanted = needed;
      actions.push_back(action::Want{i, needed});
    }
    if (needed == Level::kComplete && dep.level == Level::kComplete && dep.WorkOpen() &&
        !dep.content_running) {
      dep.content_running = true;
      actions.push_back(action::ComputeContent{i});
    }
  }
}

bool ReadyToRun(const EdgeState& state) {
  return state.map_complete &&
         std::all_of(state.deps.begin(), state.deps.end(), [](const DepState& dep) {
           return dep.level == Level::kComplete && !dep.WorkOpen();
         });
}

void Advance(EdgeState& state, Actions& actions) {
  if (state.failed || state.level == Level::kComplete) return Withdraw(state, actions);
  if (MatchSet fresh = FreshMatches(state); !fresh.empty()) {
    state.matched.insert(fresh.begin(), fresh.end());
    ++state.looking;
    actions.push_back(action::LookUp{std::move(fresh)});
    return;
  }
  if (state.looking > 0) return;  // the answer brings us here again
  state.level = std::max(state.level, ReachedLevel(state));
  if (state.want == Level::kInitial) return Withdraw(state, actions);
  if (state.want <= ShownLevel(state) || state.work != EdgeState::Work::kNone) return;
  if (state.want == Level::kComplete && state.records > 0) {
    state.work = EdgeState::Work::kLoading;
    Withdraw(state, actions);
    actions.push_back(action::Load{});
    return;
  }
  if (!state.map_asked && (!state.has_map || !state.map_complete)) {
    state.map_asked = true;
    actions.push_back(action::AskMap{});
  }
  MoveInputs(state, actions);
  if (state.want == Level::kComplete && ReadyToRun(state)) {
    state.work = EdgeState::Work::kRunning;
    actions.push_back(action::Run{});
  }
}

void Apply(EdgeState& state, const event::MapArrived& arrived) {
  state.map_asked = false;
  state.has_map = true;
  state.map_complete = arrived.complete;
  KILN_CHECK(arrived.deps.size() == state.deps.size());
  for (size_t i = 0; i < state.deps.size(); ++i) {
    state.deps[i].has_content = arrived.deps[i].has_content;
    state.deps[i].has_preprocess = arrived.deps[i].has_preprocess;
  }
  state.root_matches.insert(arrived.root_matches.begin(), arrived.root_matches.end());
}

void Apply(EdgeState& state, const event::ContentArrived& arrived) {
  DepState& dep = state.deps[arrived.dep];
  dep.content_running = false;
  dep.content_done = true;
  dep.matches.insert(arrived.matches.begin(), arrived.matches.end());
}

void Apply(EdgeState& state, const event::DepReached& reached) {
  DepState& dep = state.deps[reached.dep];
  dep.level = std::max(dep.level, reached.level);
}

}  // namespace

Level ShownLevel(const EdgeState& state) {
  // Not before all keys by definition are known: which of them came first must not matter.
  const bool found = state.level >= Level::kCacheFast && !state.matched.empty();
  return found ? std::max(state.level, Level::kCacheSlow) : state.level;
}

std::vector<Action> Step(EdgeState& state, const Event& event) {
  using Work = EdgeState::Work;
  std::visit(
      Overloaded{
          [&](const event::Wanted& e) { state.want = e.level; },
          [&](const event::MapArrived& e) { Apply(state, e); },
          [&](const event::RootMatched& e) {
            state.root_matches.insert(e.matches.begin(), e.matches.end());
          },
          [&](const event::DepMatched& e) {
            state.deps[e.dep].matches.insert(e.matches.begin(), e.matches.end());
          },
          [&](const event::DepReached& e) { Apply(state, e); },
          [&](const event::ContentArrived& e) { Apply(state, e); },
          [&](const event::RecordsFound& e) {
            --state.looking;
            state.records += e.count;
          },
          [&](const event::FoundInstead& e) {
            state.work = Work::kNone;
            state.records += e.count;
          },
          [&](const event::LoadMissed& e) {
            state.work = Work::kNone;
            state.records = e.left;
          },
          [&](const event::MapStopped&) { state.map_asked = false; },
          [&](const event::ContentStopped& e) { state.deps[e.dep].content_running = false; },
          [&](const event::WorkStopped&) { state.work = Work::kNone; },
          [&](const event::Completed&) {
            state.work = Work::kNone;
            state.level = Level::kComplete;
          },
          [&](const event::Failed&) {
            state.work = Work::kNone;
            state.failed = true;
          },
      },
      event);
  std::vector<Action> actions;
  Advance(state, actions);
  return actions;
}

}  // namespace kiln::solver
