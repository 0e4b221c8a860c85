// Unit tests of signals for processes that are yet to start, run, or have ended.
#include "worker/exec/process_control.h"

#include <gtest/gtest.h>

#include <csignal>

namespace kiln::worker::exec {
namespace {

TEST(ProcessControl, SignalsWaitForTheStartAndGoNowhereAfterTheEnd) {
  ProcessControl control;
  std::vector<int> sent;
  control.Signal(SIGWINCH);
  control.Signal(SIGINT);
  EXPECT_TRUE(sent.empty());
  control.Started([&](int signal) { sent.push_back(signal); });
  EXPECT_EQ(sent, (std::vector<int>{SIGWINCH, SIGINT}));
  control.Signal(SIGTERM);
  EXPECT_EQ(sent.back(), SIGTERM);
  control.Ended();
  control.Signal(SIGKILL);
  EXPECT_EQ(sent.size(), 3u);
}

TEST(ProcessControl, AProcessThatNeverStartedIsDoneWaitingFor) {
  ProcessControl control;
  control.Ended();
  control.WaitStarted();
  control.Started([](int) { FAIL(); });
  control.Signal(SIGTERM);
}

}  // namespace
}  // namespace kiln::worker::exec
