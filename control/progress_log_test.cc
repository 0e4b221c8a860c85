// Followers of a build's progress.
#include "control/progress_log.h"

#include <gtest/gtest.h>

#include <thread>

namespace kiln::control {
namespace {

solver::VertexEvent Vertex(std::string_view name, bool completed) {
  solver::VertexEvent event;
  event.digest = Digest::Of(name);
  event.name = std::string(name);
  event.started = Now();
  if (completed) event.completed = Now();
  return event;
}

TEST(ProgressLog, ALateFollowerSeesTheStart) {
  ProgressLog log;
  log.Send(Vertex("a", false));
  log.Send(Vertex("a", true));
  log.Close();

  size_t cursor = 0;
  std::vector<solver::ProgressEvent> events;
  EXPECT_TRUE(log.Next(&cursor, &events, {}));
  EXPECT_EQ(events.size(), 2u);
  EXPECT_FALSE(log.Next(&cursor, &events, {}));
}

TEST(ProgressLog, AFollowerWaitsForTheNextEvent) {
  ProgressLog log;
  size_t cursor = 0;
  std::vector<solver::ProgressEvent> events;
  std::jthread sender([&] { log.Send(Vertex("a", false)); });

  EXPECT_TRUE(log.Next(&cursor, &events, {}));

  EXPECT_EQ(events.size(), 1u);
}

TEST(ProgressLog, WhoWaitsForCompanyGetsAllAtTheEnd) {
  ProgressLog log;
  size_t cursor = 0;
  std::vector<solver::ProgressEvent> events;
  std::jthread sender([&] {
    log.Send(Vertex("a", false));
    log.Send(Vertex("a", true));
    log.Close();
  });

  // Far longer than the test: only the end can end it.
  EXPECT_TRUE(log.Next(&cursor, &events, {}, std::chrono::hours(1)));

  EXPECT_EQ(events.size(), 2u);
}

TEST(ProgressLog, AStopRequestEndsTheWait) {
  ProgressLog log;
  size_t cursor = 0;
  std::vector<solver::ProgressEvent> events;
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });

  EXPECT_FALSE(log.Next(&cursor, &events, stop.get_token()));
}

TEST(ProgressLog, AVertexCountsOnceAtItsLastState) {
  ProgressLog log;
  log.Send(Vertex("a", false));
  log.Send(Vertex("a", true));
  log.Send(Vertex("b", false));

  auto counts = log.counts();

  EXPECT_EQ(counts.total, 2);
  EXPECT_EQ(counts.completed, 1);
}

}  // namespace
}  // namespace kiln::control
