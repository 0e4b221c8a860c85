// The graph without threads: random graphs, builds, failures, cancels and lost results
// in an order that the seed decides, against the oracle of random_world.h.
//
// KILN_MODEL_EVENTS says how many events the edges are to see (10 million in a release
// build); KILN_MODEL_SEED repeats one world.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "cache/index/memory_key_index.h"
#include "solver/testing/manual_loop.h"
#include "solver/testing/random_world.h"

namespace kiln::solver {
namespace {

using testing::ManualLoop;
using testing::RandomWorld;

#ifdef NDEBUG
constexpr uint64_t kEvents = 10'000'000;
#else
constexpr uint64_t kEvents = 200'000;
#endif

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t value = 0;
  return text != nullptr && ParseUint64(text, &value) ? value : otherwise;
}

enum class Disturbance { kNone, kCancels, kLosses };  // losses: and cancels

struct Asked {
  std::string build;
  size_t vertex = 0;
  bool sent = false;
  bool cancelled = false;
  bool answered = false;
  StatusOr<std::string> answer = std::string();
};

// Builds over one graph, from the first request to the last leave.
class Wave {
 public:
  Wave(RandomWorld& world, cache::KeyIndex& index, Disturbance disturbance, int number)
      : world_(world), loop_(world.random), graph_(loop_.Parts(index, world.ops)),
        disturbance_(disturbance) {
    world_.during_job = [this] { loop_.StepInsideJob(); };
    size_t builds = 1 + world_.Pick(5);
    for (size_t b = 0; b < builds; ++b) {
      for (size_t i = 0; i <= world_.Pick(3); ++i) {
        asked_.push_back({StrCat("w", number, "b", b), world_.Pick(world_.vertices.size())});
      }
    }
  }

  void Run() {
    size_t next = 0;
    for (;;) {
      if (next < asked_.size() && world_.Pick(6) == 0) {
        Send(asked_[next], next + 1);
        ++next;
      } else if (disturbance_ != Disturbance::kNone && next > 0 && world_.Pick(40) == 0) {
        Disturb(asked_[world_.Pick(next)]);
      } else if (!loop_.Step()) {
        if (next == asked_.size()) break;
        Send(asked_[next], next + 1);
        ++next;
      }
    }
    for (const Asked& one : asked_) Check(one);
    Leave();
  }

  uint64_t events() const { return graph_.events(); }

 private:
  void Send(Asked& one, uint64_t id) {
    one.sent = true;
    graph_.Enter([this, &one, id] {
      graph_.StartBuild({one.build, "", nullptr, 0});
      graph_.Solve(id, one.build, {world_.vertices[one.vertex], 0}, {},
                   [&one](StatusOr<EdgeResult> result) {
                     EXPECT_FALSE(one.answered) << one.build << " is answered twice";
                     one.answered = true;
                     if (result.ok()) {
                       one.answer = result->ref.id();
                     } else {
                       one.answer = result.status();
                     }
                   });
    });
  }

  void Disturb(const Asked& victim) {
    if (disturbance_ == Disturbance::kLosses && world_.Pick(3) == 0) {
      const std::string& result = world_.expected[world_.Pick(world_.expected.size())];
      if (!result.empty()) world_.ops.Forget(result);
      return;
    }
    for (Asked& other : asked_) {
      if (other.build == victim.build && other.sent) other.cancelled = true;
    }
    bool ends = world_.Pick(2) == 0;
    graph_.Enter([this, build = victim.build, ends] {
      graph_.CancelBuild(build, CancelledError("model"));
      if (ends) graph_.EndBuild(build);
    });
  }

  void Check(const Asked& one) {
    ASSERT_TRUE(one.answered) << one.build << " waits for ever for v" << one.vertex;
    if (!one.answer.ok() && one.cancelled && IsCancelled(one.answer.status())) return;
    const std::string& expected = world_.expected[one.vertex];
    if (expected.empty()) {
      ASSERT_FALSE(one.answer.ok()) << *one.answer;
      EXPECT_EQ(one.answer.status().message(), "it fails");
    } else {
      ASSERT_TRUE(one.answer.ok()) << one.answer.status();
      EXPECT_EQ(*one.answer, expected);
    }
  }

  void Leave() {
    for (const Asked& one : asked_) {
      graph_.Enter([this, build = one.build] { graph_.EndBuild(build); });
    }
    while (loop_.Step()) {
    }
    EXPECT_EQ(graph_.vertices(), 0U) << "vertices that nobody holds stay";
    graph_.Enter([this] { graph_.Close(); });
    while (loop_.Step()) {
    }
    EXPECT_TRUE(loop_.idle());
  }

  RandomWorld& world_;
  ManualLoop loop_;
  BuildGraph graph_;
  std::vector<Asked> asked_;
  const Disturbance disturbance_;
};

// One world; its waves share the index. Returns the events seen.
uint64_t Live(uint64_t seed) {
  bool ignore_cache = seed % 5 == 0;
  RandomWorld world(seed, {.most_vertices = seed % 4 == 0 ? 60U : 16U,
                           .ignore_cache = ignore_cache});
  cache::MemoryKeyIndex index;
  auto disturbance = static_cast<Disturbance>(world.Pick(3));
  uint64_t events = 0;
  for (int number = 0; number < 3; ++number) {
    Wave wave(world, index, disturbance, number);
    wave.Run();
    events += wave.events();
    if (::testing::Test::HasFailure()) return events;
  }
  for (const auto& [result, count] : world.ops.made()) {
    // What stands on an uncached vertex is made anew as well, and what was lost too.
    if (ignore_cache || disturbance == Disturbance::kLosses) break;
    EXPECT_EQ(count, 1) << result << " was made more than once";
  }
  return events;
}

TEST(OrderedModel, AgreesWithTheOracleWhateverTheOrder) {
  log::SetLevel(log::Level::kError);  // lost results are warned of by the thousand
  uint64_t seed = FromEnvironment("KILN_MODEL_SEED", 0);
  uint64_t wanted = seed != 0 ? 1 : FromEnvironment("KILN_MODEL_EVENTS", kEvents);
  if (seed == 0) seed = std::random_device()();
  std::atomic<uint64_t> next = seed, events = 0;
  auto live = [&] {  // worlds share nothing
    while (events < wanted && !HasFailure()) {
      const uint64_t mine = next++;
      SCOPED_TRACE(StrCat("KILN_MODEL_SEED=", mine));
      events += Live(mine);
    }
  };
  {
    std::jthread other;
    if (wanted > 1) other = std::jthread(live);
    live();
  }
  log::SetLevel(log::Level::kInfo);
}

}  // namespace
}  // namespace kiln::solver
