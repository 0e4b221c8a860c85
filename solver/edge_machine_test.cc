// The edge machine by tables: a story is a list of events, each with the actions
// that must follow.
#include "solver/edge_machine.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/strings.h"

namespace kiln::solver {
namespace {

constexpr Level kFast = Level::kCacheFast;
constexpr Level kSlow = Level::kCacheSlow;
constexpr Level kComplete = Level::kComplete;

std::string TextOf(Level level) {
  switch (level) {
    case Level::kInitial: return "nothing";
    case Level::kCacheFast: return "fast";
    case Level::kCacheSlow: return "slow";
    case Level::kComplete: return "result";
  }
  return "?";
}

std::string TextOf(const Action& action) {
  if (std::holds_alternative<action::AskMap>(action)) return "map";
  if (std::holds_alternative<action::Load>(action)) return "load";
  if (std::holds_alternative<action::Run>(action)) return "run";
  if (const auto* want = std::get_if<action::Want>(&action)) {
    return StrCat("want ", want->dep, " ", TextOf(want->level));
  }
  if (const auto* content = std::get_if<action::ComputeContent>(&action)) {
    return StrCat("content ", content->dep);
  }
  return StrCat("look up ", StrJoin(std::get<action::LookUp>(action).matches, " "));
}

struct Line {
  Event event;
  std::vector<std::string> actions;
};

struct Story {
  const char* name;
  size_t inputs;
  std::vector<Line> lines;
  Level end;
};

event::MapArrived Map(std::vector<DepKind> deps) { return {std::move(deps), true, {}}; }
constexpr DepKind kPlain{false, false};
constexpr DepKind kByContent{true, false};
constexpr DepKind kPreprocessed{false, true};

const std::vector<Story>& Stories() {
  static const std::vector<Story> stories = {
      {"a root without a key runs", 0,
       {{event::Wanted{kComplete}, {"map"}},
        {event::MapArrived{{}, true, {}}, {"run"}},
        {event::Completed{}, {}}},
       kComplete},
      {"a root with a result loads it", 0,
       {{event::Wanted{kComplete}, {"map"}},
        {event::MapArrived{{}, true, {"k"}}, {"look up k"}},
        {event::RecordsFound{1}, {"load"}},
        {event::Completed{}, {}}},
       kComplete},
      {"a root asks for its next map only without a result", 0,
       {{event::Wanted{kComplete}, {"map"}},
        {event::MapArrived{{}, false, {"k"}}, {"look up k"}},
        {event::RecordsFound{0}, {"map"}},
        {event::MapArrived{{}, true, {"l"}}, {"look up l"}},
        {event::RecordsFound{1}, {"load"}}},
       kSlow},
      {"keys alone do not run anything", 1,
       {{event::Wanted{kFast}, {"map", "want 0 fast"}},
        {Map({kPlain}), {}},
        {event::DepMatched{0, {"k"}}, {"look up k"}},
        {event::RecordsFound{1}, {}},
        {event::DepReached{0, kFast}, {}}},
       kFast},
      {"a hit by definition withdraws its inputs", 1,
       {{event::Wanted{kComplete}, {"map", "want 0 fast"}},
        {Map({kByContent}), {}},
        {event::DepMatched{0, {"k"}}, {"look up k"}},
        {event::RecordsFound{1}, {"want 0 nothing", "load"}},
        {event::Completed{}, {}}},
       kComplete},
      {"a miss by definition of the only input wants all of it", 1,
       {{event::Wanted{kComplete}, {"map", "want 0 fast"}},
        {Map({kPlain}), {}},
        {event::DepReached{0, kFast}, {"want 0 slow"}},
        {event::DepReached{0, kSlow}, {"want 0 result"}},
        {event::DepReached{0, kComplete}, {"run"}}},
       kSlow},
      {"content is the second key", 1,
       {{event::Wanted{kComplete}, {"map", "want 0 fast"}},
        {Map({kByContent}), {}},
        {event::DepReached{0, kSlow}, {"want 0 result"}},
        {event::DepReached{0, kComplete}, {"content 0"}},
        {event::ContentArrived{0, {"k"}}, {"look up k"}},
        {event::RecordsFound{1}, {"want 0 nothing", "load"}}},
       kSlow},
      {"no key by content means run", 1,
       {{event::Wanted{kComplete}, {"map", "want 0 fast"}},
        {Map({kByContent}), {}},
        {event::DepReached{0, kComplete}, {"content 0"}},
        {event::ContentArrived{0, {}}, {"run"}}},
       kSlow},
      {"an input that could only match by content waits while another can decide", 2,
       {{event::Wanted{kComplete}, {"map", "want 0 fast", "want 1 fast"}},
        {Map({kByContent, kPlain}), {}},
        {event::DepMatched{0, {"k"}}, {}},
        {event::DepReached{0, kSlow}, {}},
        {event::DepReached{1, kFast}, {"want 1 slow"}},
        {event::DepMatched{1, {"k"}}, {"look up k"}},
        {event::RecordsFound{1}, {"want 0 nothing", "want 1 nothing", "load"}}},
       kFast},
      {"one input without any key decides for all", 2,
       {{event::Wanted{kComplete}, {"map", "want 0 fast", "want 1 fast"}},
        {Map({kByContent, kPlain}), {}},
        {event::DepReached{1, kSlow}, {"want 0 result", "want 1 result"}}},
       kSlow},
      {"keys that do not meet are a miss", 2,
       {{event::Wanted{kComplete}, {"map", "want 0 fast", "want 1 fast"}},
        {Map({kPlain, kPlain}), {}},
        {event::DepMatched{0, {"k"}}, {}},
        {event::DepReached{0, kFast}, {}},
        {event::DepMatched{1, {"l"}}, {"want 0 slow"}},
        {event::DepReached{1, kFast}, {"want 1 slow"}},
        {event::DepReached{0, kSlow}, {}},
        {event::DepReached{1, kSlow}, {"want 0 result", "want 1 result"}}},
       kSlow},
      {"preprocessing happens before a run and not for a hit", 1,
       {{event::Wanted{kComplete}, {"map", "want 0 fast"}},
        {Map({kPreprocessed}), {}},
        {event::DepReached{0, kComplete}, {"content 0"}},
        {event::ContentArrived{0, {}}, {"run"}}},
       kSlow},
      {"a result that is gone is made again", 1,
       {{event::Wanted{kComplete}, {"map", "want 0 fast"}},
        {Map({kPlain}), {}},
        {event::DepMatched{0, {"k"}}, {"look up k"}},
        {event::RecordsFound{1}, {"want 0 nothing", "load"}},
        {event::LoadMissed{0}, {"want 0 fast"}},
        {event::DepReached{0, kSlow}, {"want 0 result"}},
        {event::DepReached{0, kComplete}, {"run"}}},
       kSlow},
      {"somebody faster turns a run into a load", 0,
       {{event::Wanted{kComplete}, {"map"}},
        {event::MapArrived{{}, true, {}}, {"run"}},
        {event::FoundInstead{1}, {"load"}}},
       kSlow},
      {"nobody wants it any more: inputs are let go", 1,
       {{event::Wanted{kComplete}, {"map", "want 0 fast"}},
        {event::Wanted{Level::kInitial}, {"want 0 nothing"}},
        {event::MapStopped{}, {}},
        {event::Wanted{kComplete}, {"map", "want 0 fast"}}},
       Level::kInitial},
      {"a failure lets the inputs go and ends it", 1,
       {{event::Wanted{kComplete}, {"map", "want 0 fast"}},
        {event::Failed{}, {"want 0 nothing"}},
        {event::DepReached{0, kComplete}, {}}},
       Level::kInitial},
      {"content is not asked of an edge that only needs its keys", 1,
       {{event::Wanted{kFast}, {"map", "want 0 fast"}},
        {Map({kByContent}), {}},
        {event::DepReached{0, kSlow}, {}},
        {event::Wanted{kSlow}, {"want 0 result"}},
        {event::DepReached{0, kComplete}, {"content 0"}},
        {event::ContentArrived{0, {}}, {}}},
       kSlow},
  };
  return stories;
}

TEST(EdgeMachine, FollowsTheStories) {
  for (const Story& story : Stories()) {
    SCOPED_TRACE(story.name);
    EdgeState state(story.inputs);
    for (size_t i = 0; i < story.lines.size(); ++i) {
      SCOPED_TRACE(StrCat("event ", i));
      std::vector<std::string> actions;
      for (const Action& action : Step(state, story.lines[i].event)) {
        actions.push_back(TextOf(action));
      }
      EXPECT_EQ(actions, story.lines[i].actions);
    }
    EXPECT_EQ(TextOf(state.level), TextOf(story.end));
  }
}

}  // namespace
}  // namespace kiln::solver
