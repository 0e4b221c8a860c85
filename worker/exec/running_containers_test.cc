// Waiting for a container to run, and signals for a process that has not started.
#include "worker/exec/running_containers.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "base/file.h"
#include "base/process.h"
#include "worker/exec/process_control.h"

namespace kiln::worker::exec {
namespace {

TEST(RunningContainers, AContainerThatNobodyRunsIsNotFound) {
  RunningContainers containers;
  EXPECT_EQ(containers.WaitFor("c1", {}).status().message(), "container c1 not found");
}

TEST(RunningContainers, TheBundleIsHandedOutOnceTheContainerRuns) {
  TempDir dir(*MakeTempDir("/tmp", "running"));
  RunningContainers containers;
  containers.Add("c1", dir.path());
  std::thread runtime(
      [&] { EXPECT_TRUE(WriteFileAtomic(JoinPath(dir.path(), kPidFile), "1").ok()); });

  auto bundle = containers.WaitFor("c1", {});

  runtime.join();
  ASSERT_TRUE(bundle.ok());
  EXPECT_EQ(*bundle, dir.path());
}

TEST(RunningContainers, AContainerThatEndsMeanwhileHasStopped) {
  TempDir dir(*MakeTempDir("/tmp", "running"));
  RunningContainers containers;
  containers.Add("c1", dir.path());
  std::thread runtime([&] { containers.Remove("c1"); });

  std::string message = containers.WaitFor("c1", {}).status().message();

  runtime.join();
  EXPECT_TRUE(message == "container c1 has stopped" || message == "container c1 not found");
}

TEST(RunningContainers, AStopRequestEndsTheWait) {
  TempDir dir(*MakeTempDir("/tmp", "running"));
  RunningContainers containers;
  containers.Add("c1", dir.path());
  std::stop_source stop;
  stop.request_stop();

  EXPECT_TRUE(IsCancelled(containers.WaitFor("c1", stop.get_token()).status()));
}

TEST(ProcessControl, ASignalBeforeTheStartIsSentAtTheStart) {
  ProcessControl control;
  control.Signal(SIGTERM);
  ProcessOptions options;
  options.argv = {"/bin/sleep", "60"};
  auto process = Process::Start(options);
  ASSERT_TRUE(process.ok());

  control.Started(process->pidfd());

  EXPECT_EQ(process->Wait().value_or(-1), 128 + SIGTERM);
}

TEST(ProcessControl, TheEndWakesWhoWaitsForTheStart) {
  ProcessControl control;
  std::thread waiting([&] { control.WaitStarted(); });
  control.Ended();
  waiting.join();
  control.Signal(SIGTERM);  // goes nowhere
}

}  // namespace
}  // namespace kiln::worker::exec
