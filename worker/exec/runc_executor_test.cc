// Real containers: needs root, runc and a static busybox.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/file.h"
#include "base/process.h"
#include "base/strings.h"
#include "cache/mount.h"
#include "worker/exec/executor.h"

namespace kiln::worker::exec {
namespace {

class RuncExecutorTest : public ::testing::Test {
 protected:
  RuncExecutorTest() : dir_(*MakeTempDir("/tmp", "runc-exec")) {}
  ~RuncExecutorTest() override {
    executor_.reset();
    cache::UnmountAll(dir_.path()).IgnoreError();
  }
  void SetUp() override {
    if (::geteuid() != 0 || !LookPath("runc").ok() || !PathExists("/bin/busybox")) {
      GTEST_SKIP() << "needs root, runc and busybox";
    }
    root_ = JoinPath(dir_.path(), "rootfs");
    ASSERT_TRUE(MakeDirs(JoinPath(root_, "bin")).ok());
    ProcessOptions copy;
    copy.argv = {"cp", "/bin/busybox", JoinPath(root_, "bin/sh")};
    copy.env = {"PATH=/usr/bin:/bin"};
    ASSERT_EQ(RunCommand(copy, {}, {})->exit_code, 0);
    Open();
  }
  void Open() {
    ExecutorOptions options;
    options.root = JoinPath(dir_.path(), "executor");
    StatusOr<std::unique_ptr<Executor>> executor = OpenRuncExecutor(options);
    ASSERT_TRUE(executor.ok()) << executor.status();
    executor_ = *std::move(executor);
  }

  static std::function<StatusOr<cache::MountLease>()> Bind(std::string path, bool readonly) {
    return [path, readonly]() -> StatusOr<cache::MountLease> {
      return cache::MountLease{{{"bind", path, {"rbind", readonly ? "ro" : "rw"}}}, nullptr};
    };
  }
  Status Run(const std::string& script, ProcessMeta meta = {}, std::stop_token stop = {},
             const std::vector<ContainerMount>& mounts = {}) {
    meta.args = {"/bin/sh", "-c", script};
    meta.env = {"PATH=/bin"};
    if (meta.cwd.empty()) meta.cwd = "/";
    out_.clear();
    err_.clear();
    return executor_->Run(
        {.source = Bind(root_, false), .dest = "/"}, mounts, meta,
        [this](int stream, std::string_view bytes) {
          (stream == 1 ? out_ : err_) += bytes;
          output_seen_ = true;
        },
        std::move(stop));
  }
  std::vector<std::string> Leftovers() {
    std::vector<std::string> names;
    const std::vector<std::string> entries = ListDir(JoinPath(dir_.path(), "executor")).value();
    for (const std::string& name : entries) {
      if (name.size() == 25) names.push_back(name);
    }
    return names;
  }

  TempDir dir_;
  std::string root_;
  std::unique_ptr<Executor> executor_;
  std::string out_, err_;
  std::atomic<bool> output_seen_ = false;
};

TEST_F(RuncExecutorTest, OutputAndExitCodeComeBack) {
  Status status = Run("echo out; echo err >&2; exit 7");
  EXPECT_EQ(status.message(), "exit code: 7");
  EXPECT_EQ(ExitCodeOf(status), 7u);
  EXPECT_EQ(out_, "out\n");
  EXPECT_EQ(err_, "err\n");
  EXPECT_TRUE(Leftovers().empty());
}

TEST_F(RuncExecutorTest, WhatTheRuntimeIsToldIsNotInTheStepsEnvironment) {
  EXPECT_TRUE(Run("echo \"$PATH,$GOMAXPROCS,$HOME\"").ok());
  EXPECT_EQ(out_, "/bin,,/\n");
}

TEST_F(RuncExecutorTest, MountPointsThatWereMadeForTheStepGo) {
  ASSERT_TRUE(MakeDirs(JoinPath(dir_.path(), "data/sub")).ok());
  ASSERT_TRUE(WriteFileAtomic(JoinPath(dir_.path(), "data/sub/f"), "hi\n").ok());
  ContainerMount mount{.source = Bind(JoinPath(dir_.path(), "data"), true),
                       .selector = "/sub/f",
                       .dest = "/m",
                       .readonly = true};
  Status status = Run("while read l; do echo $l; done < /m; echo x > /m", {}, {}, {mount});
  EXPECT_EQ(out_, "hi\n");
  EXPECT_EQ(ExitCodeOf(status), 1u);
  EXPECT_FALSE(PathExists(JoinPath(root_, "m")));
  EXPECT_FALSE(PathExists(JoinPath(root_, "etc/hosts")));
}

TEST_F(RuncExecutorTest, ACommandThatIsStoppedIsKilledAndLeavesNothing) {
  std::stop_source stop;
  std::thread stopper([&] {
    while (!output_seen_) std::this_thread::yield();
    stop.request_stop();
  });
  Status status = Run("echo ready; while true; do :; done", {}, stop.get_token());
  stopper.join();
  EXPECT_TRUE(IsCancelled(status)) << status;
  EXPECT_EQ(status.message(), "exit code: 137: context canceled: context canceled");
  EXPECT_TRUE(Leftovers().empty());
}

TEST_F(RuncExecutorTest, WorkingFolderIsMadeForTheUser) {
  ProcessMeta meta;
  meta.user = "1000:1001";
  meta.cwd = "/some/dir";
  EXPECT_TRUE(Run("echo $PWD", meta).ok());
  EXPECT_EQ(out_, "/some/dir\n");
  struct stat st = {};
  ASSERT_EQ(::stat(JoinPath(root_, "some/dir").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 1000u);
  EXPECT_EQ(st.st_gid, 1001u);
}

TEST_F(RuncExecutorTest, WhatACrashLeftIsRemovedAtTheNextStart) {
  std::string bundle = JoinPath(dir_.path(), "executor/0123456789abcdefghijklmno");
  ASSERT_TRUE(MakeDirs(JoinPath(bundle, "rootfs")).ok());
  ASSERT_TRUE(cache::MountAll({{"bind", root_, {"rbind"}}}, JoinPath(bundle, "rootfs")).ok());
  executor_.reset();
  Open();
  EXPECT_FALSE(PathExists(bundle));
  EXPECT_TRUE(PathExists(JoinPath(root_, "bin/sh")));
}

TEST_F(RuncExecutorTest, ASecondProcessJoinsAnAttachedContainer) {
  Pipe in = *MakePipe(), out = *MakePipe();
  ProcessMeta meta;
  meta.args = {"/bin/sh", "-c", "echo one > /shared; read line; exit 3"};
  meta.env = {"PATH=/bin"};
  meta.cwd = "/";
  Status first;
  std::thread container([&] {
    first = executor_->RunAttached("c1", {.source = Bind(root_, false), .dest = "/"}, {}, meta,
                                   {.stdin_fd = in.read.get()}, {});
  });
  while (!PathExists(JoinPath(root_, "shared"))) std::this_thread::yield();
  meta.args = {"/bin/sh", "-c", "read line < /shared; echo $line; exit 4"};

  Status joined = executor_->Exec("c1", meta, {.stdout_fd = out.write.get()}, {});

  out.write.Reset();
  char text[16] = {};
  EXPECT_EQ(::read(out.read.get(), text, sizeof text), 4);
  EXPECT_STREQ(text, "one\n");
  EXPECT_EQ(ExitCodeOf(joined), 4u);
  in.write.Reset();
  container.join();
  EXPECT_EQ(ExitCodeOf(first), 3u);
  EXPECT_TRUE(Leftovers().empty());
  EXPECT_EQ(executor_->Exec("c1", meta, {}, {}).message(), "container c1 not found");
}

TEST_F(RuncExecutorTest, AContainersNameIsNoPath) {
  Status status = executor_->RunAttached("../x", {.source = Bind(root_, false), .dest = "/"}, {},
                                         ProcessMeta(), {}, {});
  EXPECT_EQ(status.message(),
            "invalid container id \"../x\": only letters and numbers are allowed");
}

}  // namespace
}  // namespace kiln::worker::exec
