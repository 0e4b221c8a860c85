// Random graphs, several builds at once, failures, cancels and lost results with real
// threads, against the oracle of random_world.h. ordered_model_test.cc does far more of
// it without threads; this one has the races.
//
// KILN_MODEL_SEED repeats one run, KILN_MODEL_ROUNDS asks for more of them.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>

#include "base/strings.h"
#include "cache/index/memory_key_index.h"
#include "solver/scheduler.h"
#include "solver/testing/random_world.h"

namespace kiln::solver {
namespace {

using World = testing::RandomWorld;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t value = 0;
  return text != nullptr && ParseUint64(text, &value) ? value : otherwise;
}

struct Pending {
  std::string build;
  size_t vertex;
  bool cancelled = false;
  std::future<StatusOr<std::string>> answer;
};

class ModelTest : public ::testing::Test {
 protected:
  Pending Start(World& world, Scheduler& scheduler, const std::string& build) {
    Pending pending;
    pending.build = build;
    pending.vertex = world.Pick(world.vertices.size());
    auto promise = std::make_shared<std::promise<StatusOr<std::string>>>();
    pending.answer = promise->get_future();
    scheduler.Solve(build, {world.vertices[pending.vertex], 0}, {},
                    [promise](StatusOr<EdgeResult> result) {
                      if (result.ok()) {
                        promise->set_value(result->ref.id());
                      } else {
                        promise->set_value(result.status());
                      }
                    });
    return pending;
  }

  void Check(World& world, Pending& pending) {
    ASSERT_EQ(pending.answer.wait_for(std::chrono::seconds(60)), std::future_status::ready)
        << pending.build << " waits for ever";
    StatusOr<std::string> answer = pending.answer.get();
    if (!answer.ok() && pending.cancelled && IsCancelled(answer.status())) return;
    const std::string& expected = world.expected[pending.vertex];
    if (expected.empty()) {
      ASSERT_FALSE(answer.ok()) << *answer;
      EXPECT_EQ(answer.status().message(), "it fails");
    } else {
      ASSERT_TRUE(answer.ok()) << answer.status();
      EXPECT_EQ(*answer, expected);
    }
  }

  // One world: some waves of builds over one index, each in a fresh scheduler.
  void Round(uint64_t seed) {
    World world(seed, {});
    cache::MemoryKeyIndex index;
    bool disturbed = world.Pick(2) == 0;  // cancels and lost results
    for (int wave = 0; wave < 3; ++wave) {
      JobPool exec("exec", 3), network("network", 2), disk("disk", 2);
      Scheduler scheduler(index, world.ops, {exec, network, disk});
      std::vector<Pending> pending;
      size_t builds = 1 + world.Pick(5);
      for (size_t b = 0; b < builds; ++b) {
        std::string id = StrCat("w", wave, "b", b);
        scheduler.StartBuild({id, "", nullptr, 0});
        for (size_t i = 0; i <= world.Pick(2); ++i) {
          pending.push_back(Start(world, scheduler, id));
        }
      }
      if (disturbed) Disturb(world, scheduler, pending);
      for (Pending& one : pending) Check(world, one);
      for (Pending& one : pending) scheduler.EndBuild(one.build);
      if (HasFatalFailure()) return;
    }
    if (disturbed) return;
    for (const auto& [result, count] : world.ops.made()) {
      EXPECT_EQ(count, 1) << result << " was made more than once";
    }
  }

  void Disturb(World& world, Scheduler& scheduler, std::vector<Pending>& pending) {
    for (Pending& one : pending) {
      if (world.Pick(3) > 0) continue;
      for (Pending& other : pending) other.cancelled |= other.build == one.build;
      scheduler.Cancel(one.build, CancelledError("model"));
      if (world.Pick(2) == 0) scheduler.EndBuild(one.build);
    }
    for (const std::string& result : world.expected) {
      if (!result.empty() && world.Pick(4) == 0) world.ops.Forget(result);
    }
  }
};

TEST_F(ModelTest, AgreesWithTheOracle) {
  uint64_t seed = FromEnvironment("KILN_MODEL_SEED", 0);
  uint64_t rounds = FromEnvironment("KILN_MODEL_ROUNDS", 200);
  uint64_t first = seed != 0 ? seed : std::random_device()();
  if (seed != 0) rounds = 1;
  for (uint64_t i = 0; i < rounds; ++i) {
    SCOPED_TRACE(StrCat("KILN_MODEL_SEED=", first + i));
    Round(first + i);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace kiln::solver
