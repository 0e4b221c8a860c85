// The scheduler with fake ops: what runs, what is loaded, what is heard.
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>

#include "base/strings.h"
#include "cache/index/memory_key_index.h"
#include "solver/scheduler.h"
#include "solver/testing/fake_ops.h"

namespace kiln::solver {
namespace {

using testing::FakeOps;
using testing::Gate;
using testing::RecordingSink;

class SchedulerTest : public ::testing::Test {
 protected:
  SchedulerTest() { Restart(); }

  // A new daemon over the same index.
  void Restart() {
    scheduler_.reset();
    scheduler_ = std::make_unique<Scheduler>(index_, ops_, JobPools{exec_, network_, disk_});
  }
  std::shared_ptr<RecordingSink> Start(const std::string& build, const std::string& session = "") {
    auto sink = std::make_shared<RecordingSink>();
    scheduler_->StartBuild({build, session, sink, 0});
    return sink;
  }
  StatusOr<std::string> Solve(const std::string& build,
                              const std::shared_ptr<const llb::Vertex>& vertex,
                              int64_t output = 0) {
    auto result = scheduler_->SolveAndWait(build, {vertex, output}, {}, {});
    if (!result.ok()) return result.status();
    return result->ref.id();
  }
  std::future<StatusOr<std::string>> SolveLater(const std::string& build,
                                                const std::shared_ptr<const llb::Vertex>& vertex) {
    auto answer = std::make_shared<std::promise<StatusOr<std::string>>>();
    scheduler_->Solve(build, {vertex, 0}, {}, [answer](StatusOr<EdgeResult> result) {
      if (result.ok()) {
        answer->set_value(result->ref.id());
      } else {
        answer->set_value(result.status());
      }
    });
    return answer->get_future();
  }
  // Solves in a build of its own, which ends.
  StatusOr<std::string> Build(const std::shared_ptr<const llb::Vertex>& vertex) {
    std::string id = StrCat("build", ++last_build_);
    last_sink_ = Start(id);
    auto result = Solve(id, vertex);
    scheduler_->EndBuild(id);
    return result;
  }

  cache::MemoryKeyIndex index_;
  FakeOps ops_;
  JobPool exec_{"exec", 4}, network_{"network", 4}, disk_{"disk", 4};
  std::unique_ptr<Scheduler> scheduler_;
  std::shared_ptr<RecordingSink> last_sink_;
  int last_build_ = 0;
};

TEST_F(SchedulerTest, RunsInputsBeforeConsumers) {
  auto base = ops_.Add({.name = "base"});
  auto step = ops_.Add({.name = "step", .inputs = {{base, 0}}});

  auto result = Build(step);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(*result, "step(base)");
  EXPECT_EQ(ops_.total_runs(), 2);
}

TEST_F(SchedulerTest, ASecondBuildLoadsTheEndAndNothingElse) {
  auto base = ops_.Add({.name = "base"});
  auto step = ops_.Add({.name = "step", .inputs = {{base, 0}}});
  auto end = ops_.Add({.name = "end", .inputs = {{step, 0}}});
  ASSERT_TRUE(Build(end).ok());
  Restart();

  auto result = Build(end);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(*result, "end(step(base))");
  EXPECT_EQ(ops_.total_runs(), 3);
  EXPECT_EQ(ops_.loads(), 1);
  for (const auto& [name, vertex] : last_sink_->vertices()) {
    EXPECT_EQ(vertex.cached, name != "base") << name;  // a root is shown looking up its key
    EXPECT_TRUE(vertex.completed.set()) << name;
  }
}

TEST_F(SchedulerTest, AChangedInputWithTheSameContentIsAHit) {
  auto one = ops_.Add({.name = "local1", .result = "tree1"});
  auto two = ops_.Add({.name = "local2", .result = "tree2"});
  ops_.SetContent("tree1", "same");
  ops_.SetContent("tree2", "same");
  auto copy_one = ops_.Add({.name = "copy1", .inputs = {{one, 0}}, .key = "copy", .content_inputs = {0}});
  auto copy_two = ops_.Add({.name = "copy2", .inputs = {{two, 0}}, .key = "copy", .content_inputs = {0}});
  ASSERT_TRUE(Build(copy_one).ok());

  auto result = Build(copy_two);

  ASSERT_TRUE(result.ok());
  EXPECT_EQ(*result, "copy(same)");
  EXPECT_EQ(ops_.runs("copy2"), 0);
  EXPECT_EQ(ops_.runs("local2"), 1);
  // The next time the definition is enough.
  ASSERT_TRUE(Build(copy_two).ok());
  EXPECT_EQ(ops_.contents("copy2"), 1);
}

TEST_F(SchedulerTest, AHitByDefinitionNeverComputesContent) {
  auto source = ops_.Add({.name = "source"});
  auto copy = ops_.Add({.name = "copy", .inputs = {{source, 0}}, .content_inputs = {0}});
  ASSERT_TRUE(Build(copy).ok());
  ASSERT_EQ(ops_.contents("copy"), 1);

  ASSERT_TRUE(Build(copy).ok());

  EXPECT_EQ(ops_.contents("copy"), 1);
  EXPECT_EQ(ops_.runs("source"), 1);
}

TEST_F(SchedulerTest, EqualVerticesOfTwoBuildsRunOnce) {
  auto gate = std::make_shared<Gate>();
  auto step = ops_.Add({.name = "step", .on_exec = [gate](JobContext& job) {
                          return gate->Wait(job.stop());
                        }});
  Start("a");
  Start("b");
  auto a = SolveLater("a", step);
  gate->AwaitVisitor();
  auto b = SolveLater("b", step);

  gate->Open();

  EXPECT_TRUE(a.get().ok());
  EXPECT_TRUE(b.get().ok());
  EXPECT_EQ(ops_.runs("step"), 1);
}

TEST_F(SchedulerTest, DifferentVerticesWithOneKeyRunOnce) {
  auto gate = std::make_shared<Gate>();
  auto wait = [gate](JobContext& job) { return gate->Wait(job.stop()); };
  auto one = ops_.Add({.name = "one", .key = "same", .on_exec = wait});
  auto two = ops_.Add({.name = "two", .key = "same", .on_exec = wait});
  auto sink = Start("a");
  auto first = SolveLater("a", one);
  gate->AwaitVisitor();
  auto second = SolveLater("a", two);
  // A solve of something else afterwards proves that `two` has got as far as it can.
  ASSERT_TRUE(Solve("a", ops_.Add({.name = "other"})).ok());

  gate->Open();

  ASSERT_TRUE(first.get().ok());
  ASSERT_TRUE(second.get().ok());
  EXPECT_EQ(ops_.runs_by_key()["same"], 1);
  EXPECT_TRUE(sink->vertices()["one"].cached != sink->vertices()["two"].cached);
}

TEST_F(SchedulerTest, ACancelledBuildLeavesTheOtherAlone) {
  auto gate = std::make_shared<Gate>();
  auto step = ops_.Add({.name = "step", .on_exec = [gate](JobContext& job) {
                          return gate->Wait(job.stop());
                        }});
  Start("a");
  Start("b");
  auto a = SolveLater("a", step);
  auto b = SolveLater("b", step);
  gate->AwaitVisitor();

  scheduler_->Cancel("a", CancelledError("pressed ^C"));
  EXPECT_EQ(a.get().status().message(), "pressed ^C");
  scheduler_->EndBuild("a");
  gate->Open();

  EXPECT_TRUE(b.get().ok());
  EXPECT_EQ(ops_.runs("step"), 1);
}

TEST_F(SchedulerTest, TheLastBuildToGoStopsTheOp) {
  auto gate = std::make_shared<Gate>();
  auto stopped = std::make_shared<std::promise<Status>>();
  auto step = ops_.Add({.name = "step", .on_exec = [gate, stopped](JobContext& job) {
                          Status status = gate->Wait(job.stop());
                          stopped->set_value(status);
                          return status;
                        }});
  Start("a");
  auto a = SolveLater("a", step);
  gate->AwaitVisitor();

  scheduler_->Cancel("a", CancelledError("enough"));

  EXPECT_TRUE(IsCancelled(a.get().status()));
  EXPECT_TRUE(IsCancelled(stopped->get_future().get()));
}

TEST_F(SchedulerTest, ACancelledBuildHearsHowItsOpEnded) {
  auto gate = std::make_shared<Gate>();
  auto last_words = std::make_shared<Gate>();
  auto step = ops_.Add({.name = "step", .on_exec = [gate, last_words](JobContext& job) {
                          gate->Wait(job.stop()).IgnoreError();
                          last_words->Wait({}).IgnoreError();
                          return UnknownError("exit code: 137: context canceled");
                        }});
  auto sink = Start("a");
  auto a = SolveLater("a", step);
  gate->AwaitVisitor();
  scheduler_->Cancel("a", CancelledError("enough"));
  EXPECT_TRUE(IsCancelled(a.get().status()));

  auto ended = std::async(std::launch::async, [&] { scheduler_->EndBuild("a"); });
  last_words->AwaitVisitor();
  EXPECT_FALSE(sink->vertices()["step"].completed.set());
  last_words->Open();
  ended.get();

  EXPECT_EQ(sink->vertices()["step"].error, "exit code: 137: context canceled");
}

TEST_F(SchedulerTest, AFailureNamesItsVertexAndReachesTheEnd) {
  auto bad = ops_.Add({.name = "bad", .exec_error = UnknownError("exit code: 1")});
  auto end = ops_.Add({.name = "end", .inputs = {{bad, 0}}});

  auto result = Build(end);

  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().message(), "exit code: 1");
  const StatusDetail* detail =
      result.status().FindDetail("github.com/moby/buildkit/errdefs.Vertex+json");
  ASSERT_NE(detail, nullptr);
  EXPECT_EQ(detail->bytes, StrCat("\nG", bad->digest.text()));
  EXPECT_EQ(last_sink_->vertices()["bad"].error, "exit code: 1");
}

TEST_F(SchedulerTest, ABuildThatJoinsAfterAFailureTriesAgain) {
  auto failures = std::make_shared<std::atomic<int>>(1);
  auto step = ops_.Add({.name = "step", .on_exec = [failures](JobContext&) {
                          return failures->fetch_sub(1) > 0 ? UnknownError("flaky") : OkStatus();
                        }});
  auto end = ops_.Add({.name = "end", .inputs = {{step, 0}}});
  Start("a");
  ASSERT_FALSE(Solve("a", end).ok());
  ASSERT_FALSE(Solve("a", end).ok());  // the same build keeps its failure

  Start("b");
  auto result = Solve("b", end);

  EXPECT_TRUE(result.ok()) << result.status();
}

TEST_F(SchedulerTest, AResultThatIsGoneIsMadeAgain) {
  auto base = ops_.Add({.name = "base"});
  auto step = ops_.Add({.name = "step", .inputs = {{base, 0}}});
  ASSERT_TRUE(Build(step).ok());
  ops_.Forget("step(base)");

  auto result = Build(step);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(ops_.runs("step"), 2);
  EXPECT_EQ(ops_.runs("base"), 1);
}

TEST_F(SchedulerTest, NoCacheRunsAgainAndSaves) {
  auto cached = ops_.Add({.name = "step"});
  ASSERT_TRUE(Build(cached).ok());
  auto fresh = ops_.Add({.name = "step", .ignore_cache = true});

  ASSERT_TRUE(Build(fresh).ok());

  EXPECT_EQ(ops_.runs("step"), 2);
}

TEST_F(SchedulerTest, EveryOutputOfAVertexComesFromOneRun) {
  auto step = ops_.Add({.name = "step", .outputs = 2});
  auto end = ops_.Add({.name = "end", .inputs = {{step, 0}, {step, 1}}});

  auto result = Build(end);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(*result, "end(step)(step#1)");
  EXPECT_EQ(ops_.runs("step"), 1);
}

TEST_F(SchedulerTest, AnOutputThatDoesNotExistIsAnError) {
  auto step = ops_.Add({.name = "step"});
  Start("a");

  auto result = Solve("a", step, 3);

  EXPECT_EQ(result.status().message(),
            "invalid response from exec need 3 index but 1 results received");
}

TEST_F(SchedulerTest, ARootWithSeveralMapsHitsThroughAnyOfThem) {
  auto image = ops_.Add({.name = "image", .key = "image", .extra_maps = 1});
  ASSERT_TRUE(Build(image).ok());
  int maps = ops_.maps("image");
  ASSERT_EQ(maps, 2);

  ASSERT_TRUE(Build(image).ok());

  EXPECT_EQ(ops_.runs("image"), 1);
  EXPECT_EQ(ops_.maps("image"), maps + 1);  // the first was enough
}

TEST_F(SchedulerTest, ALateBuildHearsWhatWasSaid) {
  auto gate = std::make_shared<Gate>();
  auto step = ops_.Add({.name = "step", .on_exec = [gate](JobContext& job) {
                          job.progress().Log(1, "early words\n");
                          return gate->Wait(job.stop());
                        }});
  Start("a");
  auto a = SolveLater("a", step);
  gate->AwaitVisitor();

  auto sink = Start("b");
  auto b = SolveLater("b", step);
  gate->Open();

  ASSERT_TRUE(b.get().ok());
  EXPECT_EQ(sink->log(step->digest), "early words\n");
  EXPECT_TRUE(a.get().ok());
}

TEST_F(SchedulerTest, JobsSeeTheSessionsOfTheirBuilds) {
  auto sessions = std::make_shared<std::vector<std::string>>();
  auto step = ops_.Add({.name = "step", .on_exec = [sessions](JobContext& job) {
                          *sessions = job.Sessions();
                          return OkStatus();
                        }});
  Start("a", "session-a");

  ASSERT_TRUE(Solve("a", step).ok());

  EXPECT_EQ(*sessions, std::vector<std::string>{"session-a"});
}

TEST_F(SchedulerTest, ScratchIsSolvedAtOnce) {
  Start("a");

  auto result = Solve("a", nullptr);

  ASSERT_TRUE(result.ok());
  EXPECT_EQ(*result, "");
}

TEST_F(SchedulerTest, AMapThatFailsSaysSo) {
  auto bad = ops_.Add({.name = "bad", .map_error = NotFoundError("no such image")});

  auto result = Build(bad);

  EXPECT_EQ(result.status().message(), "failed to load cache key: no such image");
  EXPECT_EQ(result.status().code(), StatusCode::kNotFound);
}

TEST_F(SchedulerTest, OfWhatCannotBeKeyedNoInputIsAsked) {
  auto image = ops_.Add({.name = "image"});
  auto bad = ops_.Add({.name = "bad",
                       .inputs = {{image, 0}},
                       .quick_map = true,
                       .map_error = InvalidArgumentError("no such mount")});

  EXPECT_FALSE(Build(bad).ok());

  EXPECT_EQ(ops_.maps("image"), 0);
}

TEST_F(SchedulerTest, AQuickMapIsLikeAnyOther) {
  auto image = ops_.Add({.name = "image"});
  auto step = ops_.Add(
      {.name = "step", .inputs = {{image, 0}}, .quick_map = true, .extra_maps = 2});

  ASSERT_TRUE(Build(step).ok());
  EXPECT_EQ(ops_.maps("step"), 3);

  ASSERT_TRUE(Build(step).ok());
  EXPECT_EQ(ops_.runs("step"), 1);
}

}  // namespace
}  // namespace kiln::solver
