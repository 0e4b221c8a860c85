// Who gets in when others start.
#include "worker/exec/start_gate.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

#include "base/file.h"

namespace kiln::worker::exec {
namespace {

class StartGateTest : public testing::Test {
 protected:
  StartGate::Place Enter(const std::string& name) {
    StatusOr<StartGate::Place> place = gate_.Acquire(File(name), {});
    EXPECT_TRUE(place.ok());
    return *std::move(place);
  }
  std::string File(const std::string& name) const { return JoinPath(dir_.path(), name); }

  TempDir dir_{MakeTempDir("/tmp", "gate-").value()};
  StartGate gate_{2};
};

TEST_F(StartGateTest, APlaceIsFreeOnceTheContainerRuns) {
  StartGate::Place first = Enter("first");
  StartGate::Place second = Enter("second");
  std::jthread runtime([&] { EXPECT_TRUE(WriteFileAtomic(File("second"), "7").ok()); });

  Enter("third");  // returns, though nobody gave a place back
}

TEST_F(StartGateTest, APlaceIsFreeOnceItIsGivenBack) {
  StartGate::Place first = Enter("first");
  std::optional<StartGate::Place> second(Enter("second"));
  std::jthread other([&] { second.reset(); });

  Enter("third");
}

TEST_F(StartGateTest, NoMoreThanTheLimitStart) {
  StartGate::Place first = Enter("first");
  StartGate::Place second = Enter("second");
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });

  EXPECT_TRUE(IsCancelled(gate_.Acquire(File("third"), stop.get_token()).status()));
}

TEST_F(StartGateTest, AllOfManyGetIn) {
  std::vector<std::optional<StartGate::Place>> places(40);
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < places.size(); ++i) {
    threads.emplace_back([this, i, &place = places[i]] {
      place.emplace(Enter(std::to_string(i)));
      // Every other one says that it runs, and stays.
      if (i % 2 == 0) {
        EXPECT_TRUE(WriteFileAtomic(File(std::to_string(i)), "7").ok());
      } else {
        place.reset();
      }
    });
  }
}

TEST_F(StartGateTest, WhoGivesUpLeavesTheLookingToOthers) {
  StartGate::Place first = Enter("first");
  StartGate::Place second = Enter("second");
  std::stop_source stop;
  std::jthread impatient([&] { EXPECT_FALSE(gate_.Acquire(File("third"), stop.get_token()).ok()); });
  std::jthread patient([&] { Enter("fourth"); });
  stop.request_stop();
  impatient.join();

  EXPECT_TRUE(WriteFileAtomic(File("first"), "7").ok());
  patient.join();
}

}  // namespace
}  // namespace kiln::worker::exec
