// What the kernel's files say, in folders that look like its cgroups; and the JSON of it.
#include "worker/exec/step_usage.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "worker/exec/step_cgroup.h"

namespace kiln::worker::exec {
namespace {

class CgroupTest : public ::testing::Test {
 protected:
  void Write(const std::string& file, const std::string& text) {
    const std::string path = temp_.path() + "/" + file;
    ASSERT_TRUE(MakeDirs(DirName(path)).ok());
    ASSERT_TRUE(WriteFileAtomic(path, text).ok());
  }
  std::string JsonOf(const CgroupMounts& mounts) {
    StatusOr<UsageSample> sample = StepCgroup(mounts, "/buildkit/x").Read();
    EXPECT_TRUE(sample.ok()) << sample.status();
    if (!sample.ok()) return "";
    sample->at = Time::FromSeconds(1'700'000'000);
    return UsageJson({{*sample}, std::nullopt});
  }
  TempDir temp_{std::move(MakeTempDir("/tmp", "cgroup-")).value()};
};

TEST_F(CgroupTest, TheUnifiedHierarchyIsReadAsTheReferenceShowsIt) {
  const CgroupMounts mounts{.unified = temp_.path()};
  Write("buildkit/x/cpu.stat",
        "usage_usec 1234\nuser_usec 1000\nsystem_usec 234\nnr_periods 3\nnr_throttled 1\n"
        "throttled_usec 7\nnr_bursts 0\n");
  Write("buildkit/x/cpu.pressure",
        "some avg10=1.23 avg60=4.56 avg300=7.00 total=3031\n"
        "full avg10=0.00 avg60=0.40 avg300=0.00 total=9876\n");
  Write("buildkit/x/memory.stat", "anon 24576\nfile 12791808\nslab 5\nunknown 9\npgfault 4\n");
  Write("buildkit/x/memory.events", "low 0\nhigh 0\nmax 2\noom 1\noom_kill 0\n");
  Write("buildkit/x/memory.peak", "123456\n");
  Write("buildkit/x/memory.swap.current", "987\n");
  Write("buildkit/x/io.stat",
        "8:0 rbytes=1024 wbytes=2048 rios=16 wios=32 dbytes=1 dios=0\n"
        "8:1 rbytes=512 wbytes=1024 rios=8 wios=16 dbytes=0 dios=1\n");
  Write("buildkit/x/pids.current", "7\n");
  EXPECT_EQ(
      JsonOf(mounts),
      R"({"samples":[{"timestamp":"2023-11-14T22:13:20Z","cpuStat":{"usageNanos":1234000,)"
      R"("userNanos":1000000,"systemNanos":234000,"nrPeriods":3,"nrThrottled":1,)"
      R"("throttledNanos":7000,"pressure":{"some":{"avg10":1.23,"avg60":4.56,"avg300":7,)"
      R"("total":3031},"full":{"avg10":0,"avg60":0.4,"avg300":0,"total":9876}}},)"
      R"("memoryStat":{"swapBytes":987,"anon":24576,"file":12791808,"slab":5,"pgfault":4,)"
      R"("peak":123456,"maxEvents":2,"oomEvents":1},"ioStat":{"readBytes":1536,)"
      R"("writeBytes":3072,"discardBytes":1,"readIOs":24,"writeIOs":48,"discardIOs":1},)"
      R"("pidsStat":{"current":7}}]})");
}

TEST_F(CgroupTest, LegacyHierarchiesGiveTheSameNames) {
  CgroupMounts mounts;
  for (const char* name : {"cpu", "cpuacct", "memory", "blkio", "pids"}) {
    mounts.legacy[name] = temp_.path() + "/" + name;
  }
  Write("cpuacct/buildkit/x/cpuacct.usage", "5000\n");
  Write("cpuacct/buildkit/x/cpuacct.usage_user", "3000\n");
  Write("cpuacct/buildkit/x/cpuacct.usage_sys", "2000\n");
  Write("cpu/buildkit/x/cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n");
  Write("memory/buildkit/x/memory.stat", "cache 8192\nrss 4096\npgfault 3\n");
  Write("memory/buildkit/x/memory.max_usage_in_bytes", "65536\n");
  Write("blkio/buildkit/x/blkio.throttle.io_service_bytes",
        "8:0 Read 100\n8:0 Write 10\n8:0 Total 110\n8:16 Read 1\nTotal 111\n");
  Write("pids/buildkit/x/pids.current", "2\n");
  EXPECT_EQ(JsonOf(mounts),
            R"({"samples":[{"timestamp":"2023-11-14T22:13:20Z","cpuStat":{"usageNanos":5000,)"
            R"("userNanos":3000,"systemNanos":2000,"nrPeriods":0,"nrThrottled":0,)"
            R"("throttledNanos":0},"memoryStat":{"anon":4096,"file":8192,"pgfault":3,)"
            R"("peak":65536},"ioStat":{"readBytes":101,"writeBytes":10},)"
            R"("pidsStat":{"current":2}}]})");
}

TEST_F(CgroupTest, WhatIsNotThereIsNotFound) {
  EXPECT_TRUE(IsNotFound(StepCgroup({.unified = temp_.path()}, "/none").Read().status()));
  EXPECT_TRUE(IsNotFound(StepCgroup({}, "/none").Read().status()));
}

TEST_F(CgroupTest, AKillForWantOfMemoryTellsTheLowestLimitAboveIt) {
  const CgroupMounts mounts{.unified = temp_.path()};
  Write("a/memory.max", "67108864\n");
  Write("a/buildkit/memory.max", "max\n");
  Write("a/buildkit/x/memory.max", "max\n");
  Write("a/buildkit/x/memory.events", "oom 1\noom_kill 0\n");
  StepCgroup cgroup(mounts, "/a/buildkit/x");
  EXPECT_FALSE(cgroup.Oom().has_value());
  Write("a/buildkit/x/memory.events", "oom 1\noom_kill 2\n");
  Write("a/buildkit/x/memory.peak", "66584576\n");
  auto kill = cgroup.Oom();
  ASSERT_TRUE(kill.has_value());
  EXPECT_EQ(OomText(*kill), "cannot allocate memory (memory limit 64 MiB, peak 63.5 MiB)");
  EXPECT_EQ(OomText({}), "cannot allocate memory");
}

TEST_F(CgroupTest, GoesWithWhatIsBelowIt) {
  const CgroupMounts mounts{.unified = temp_.path()};
  ASSERT_TRUE(MakeDirs(temp_.path() + "/buildkit/x/inner/deep").ok());
  EXPECT_TRUE(StepCgroup(mounts, "/buildkit/x").Remove());
  EXPECT_FALSE(PathExists(temp_.path() + "/buildkit/x"));
  EXPECT_TRUE(PathExists(temp_.path() + "/buildkit"));
  EXPECT_TRUE(StepCgroup(mounts, "/buildkit/x").Remove()) << "what is not there is fine";
}

TEST(CgroupMounts, AHierarchyBesideLegacyOnesHasNoControllers) {
  const std::string legacy =
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
      "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
  const std::string unified = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
  CgroupMounts both = FindCgroupMounts(legacy + unified);
  EXPECT_EQ(both.unified, "");
  EXPECT_EQ(both.beside, "/sys/fs/cgroup/unified");
  EXPECT_EQ(both.legacy.at("cpuacct"), "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(both.legacy.at("memory"), "/sys/fs/cgroup/memory");
  EXPECT_EQ(FindCgroupMounts(unified).unified, "/sys/fs/cgroup/unified");
  EXPECT_TRUE(FindCgroupMounts("1 2 3:4 / / rw - ext4 /dev/x rw\nbroken\n").empty());
}

TEST(Traffic, IsThatOfTheOtherEndSinceTheStepBegan) {
  const std::string before =
      "Inter-|   Receive                            |  Transmit\n"
      " face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop\n"
      "    lo: 99 9 0 0 0 0 0 0 99 9 0 0 0 0 0 0\n"
      "  eth0: 100 2 0 0 0 0 0 0 50 1 0 0 0 0 0 0\n";
  const std::string after = "  eth0: 1100 4 0 1 0 0 0 0 70 2 0 0 0 0 0 0\n";
  UsageSample sample;
  sample.at = Time::FromSeconds(0);
  sample.net = TrafficSince(HostTraffic(before), HostTraffic(after));
  EXPECT_EQ(UsageJson({{sample}, std::nullopt}),
            R"({"samples":[{"timestamp":"1970-01-01T00:00:00Z","netStat":{"rxBytes":20,)"
            R"("rxPackets":1,"txBytes":1000,"txPackets":2,"txDropped":1}}]})");
}

TEST(Machine, TellsItself) {
  MachineSample sample = ReadMachine();
  EXPECT_GT(sample.cpu.idle + sample.cpu.user, 0);
  EXPECT_GT(sample.memory.Value("total"), 0u);
  EXPECT_GT(sample.processes.Value("contextSwitches"), 0u);
  const std::string json = UsageJson({{}, MachineCpu{.user = 0.25, .idle = 12.3456}});
  EXPECT_EQ(json, R"({"sysCPUStat":{"user":0.25,"nice":0,"system":0,"idle":12.346,"iowait":0,)"
                  R"("irq":0,"softirq":0,"steal":0,"guest":0,"guestNice":0}})");
}

}  // namespace
}  // namespace kiln::worker::exec
