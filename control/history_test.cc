// Unit tests of the build history: storing, listening, deleting, limits.
#include "control/history.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/file.h"
#include "cache/database.h"

namespace kiln::control {
namespace {

class HistoryTest : public testing::Test {
 protected:
  HistoryTest() : dir_(*MakeTempDir("/tmp", "kiln-history-")) {
    database_ = *cache::Database::Open(JoinPath(dir_.path(), "index.db"));
  }
  std::unique_ptr<History> Open(HistoryLimits limits = {}) {
    return *History::Open(*database_, limits);
  }
  static HistoryRecord Record(std::string ref, Time completed = {}) {
    return {std::move(ref), Now(), completed, false, "body", {Digest::Of("log")}};
  }
  static std::vector<std::string> Refs(History& history, ListenOptions options = {}) {
    options.early_exit = true;
    std::vector<std::string> refs;
    EXPECT_TRUE(history.Listen(options, {}, [&](const HistoryEvent& event) {
                         refs.push_back(event.record.ref);
                         return OkStatus();
                       }).ok());
    return refs;
  }

  TempDir dir_;
  std::unique_ptr<cache::Database> database_;
};

TEST_F(HistoryTest, FinishedBuildsSurviveAndRunningOnesDoNot) {
  {
    auto history = Open();
    history->Start(Record("runs"));
    history->Start(Record("ends"));
    ASSERT_TRUE(history->Complete(Record("ends", Now())).ok());
    EXPECT_EQ(Refs(*history), (std::vector<std::string>{"runs", "ends"}));
    EXPECT_EQ(Refs(*history, {.active_only = true}), (std::vector<std::string>{"runs"}));
  }
  auto history = Open();
  EXPECT_EQ(Refs(*history), (std::vector<std::string>{"ends"}));
  EXPECT_EQ(history->Get("ends")->body, "body");
  EXPECT_EQ(history->Blobs()->count(Digest::Of("log")), 1u);
}

TEST_F(HistoryTest, AListenerSeesWhatHappensLater) {
  auto history = Open();
  std::vector<HistoryEventType> seen;
  std::atomic<bool> listening = false;
  std::stop_source stop;
  history->Start(Record("first"));
  std::thread listener([&] {
    history->Listen({}, stop.get_token(), [&](const HistoryEvent& event) {
             listening = true;
             seen.push_back(event.type);
             return event.type == HistoryEventType::kDeleted ? CancelledError("enough")
                                                             : OkStatus();
           }).IgnoreError();
  });
  while (!listening) std::this_thread::yield();
  ASSERT_TRUE(history->Complete(Record("first", Now())).ok());
  ASSERT_TRUE(history->Delete("first").ok());
  listener.join();
  EXPECT_EQ(seen, (std::vector{HistoryEventType::kStarted, HistoryEventType::kComplete,
                               HistoryEventType::kDeleted}));
  EXPECT_TRUE(IsNotFound(history->Get("first").status()));
}

TEST_F(HistoryTest, StopEndsAListener) {
  auto history = Open();
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(IsCancelled(
      history->Listen({}, stop.get_token(), [](const HistoryEvent&) { return OkStatus(); })));
}

TEST_F(HistoryTest, ADeletedRunningBuildLeavesNoRecord) {
  auto history = Open();
  history->Start(Record("x"));
  ASSERT_TRUE(history->Delete("x").ok());
  ASSERT_TRUE(history->Complete(Record("x", Now())).ok());
  EXPECT_TRUE(Refs(*history).empty());
}

TEST_F(HistoryTest, LimitsDropWhatIsBothOldAndTooManyAndSparePinnedOnes) {
  auto history = Open({.max_age = int64_t{3600} * 1'000'000'000, .max_entries = 2});
  HistoryRecord pinned = Record("pinned", Time::FromSeconds(1));
  pinned.pinned = true;
  ASSERT_TRUE(history->Complete(pinned).ok());
  ASSERT_TRUE(history->Complete(Record("old", Time::FromSeconds(2))).ok());
  for (const char* ref : {"a", "b", "c"}) {
    ASSERT_TRUE(history->Complete(Record(ref, Now())).ok());
  }
  EXPECT_EQ(Refs(*history), (std::vector<std::string>{"pinned", "a", "b", "c"}));
}

TEST_F(HistoryTest, ARecordThatIsListenedForGoesWithTheLastListener) {
  auto history = Open();
  ASSERT_TRUE(history->Complete(Record("x", Now())).ok());
  ListenOptions options{.ref = "x", .early_exit = true};
  ASSERT_TRUE(history->Listen(options, {}, [&](const HistoryEvent&) {
                       EXPECT_TRUE(history->Delete("x").ok());
                       EXPECT_TRUE(Refs(*history).empty());
                       EXPECT_TRUE(history->Get("x").ok());
                       return OkStatus();
                     }).ok());
  EXPECT_TRUE(IsNotFound(history->Get("x").status()));
}

TEST_F(HistoryTest, WhatComesLaterIsThereWhenARecordIsFinal) {
  auto history = Open();
  HistoryRecord record = Record("x", Now());
  record.later = [](HistoryRecord& stored) {
    stored.body += " and more";
    return OkStatus();
  };
  std::string body = record.body;
  ASSERT_TRUE(history->Complete(std::move(record)).ok());
  history->Finalize("x");
  EXPECT_EQ(history->Get("x")->body, body + " and more");
  history->Finalize("x");  // nothing is left, so nothing to wait for
}

TEST_F(HistoryTest, UpdateChangesAFinishedRecordOnly) {
  auto history = Open();
  ASSERT_TRUE(history->Complete(Record("x", Now())).ok());
  auto pin = [](HistoryRecord& record) {
    record.pinned = true;
    return OkStatus();
  };
  EXPECT_TRUE(history->Update("x", pin).ok());
  EXPECT_TRUE(history->Get("x")->pinned);
  EXPECT_TRUE(IsNotFound(history->Update("y", pin)));
}

}  // namespace
}  // namespace kiln::control
