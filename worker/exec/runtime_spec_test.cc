// Specs against what buildkitd v0.32.2 was seen to write (testdata/).
#include "worker/exec/runtime_spec.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::worker::exec {
namespace {

using nlohmann::json;

json TestData(const char* name) {
  StatusOr<std::string> text =
      ReadFile(StrCat(KILN_SOURCE_DIR, "/worker/exec/testdata/", name));
  EXPECT_TRUE(text.ok()) << text.status();
  return json::parse(*text);
}

ProcessMeta EnvStep() {
  ProcessMeta meta;
  meta.args = {"/bin/sh", "-c", "env"};
  meta.env = {"PATH=/bin"};
  meta.cwd = "/";
  return meta;
}

SpecInput InputFor(const ProcessMeta& meta) {
  SpecInput input;
  input.id = "<id>";
  input.meta = &meta;
  input.root_path = "<bundle>/rootfs";
  input.hosts_file = "<hosts>";
  input.resolv_conf = "<resolv.conf>";
  input.tracing_socket = "<src>";
  input.traceparent = "00-<trace>-<span>-01";
  return input;
}

json Spec(const SpecInput& input) { return json::parse(MakeRuntimeSpec(input)); }

std::vector<std::string> Targets(const json& spec) {
  std::vector<std::string> out;
  for (const json& mount : spec["mounts"]) out.push_back(mount["destination"]);
  return out;
}

TEST(RuntimeSpec, PlainStepEqualsTheReference) {
  json expected = TestData("default-spec.json");
  expected["linux"]["seccomp"] = TestData("seccomp-default.json");
  ProcessMeta meta = EnvStep();
  EXPECT_EQ(json::diff(expected, Spec(InputFor(meta))).dump(1), "[]");
}

TEST(RuntimeSpec, MountOverAFixedOneTakesItsPlace) {
  ProcessMeta meta = EnvStep();
  SpecInput input = InputFor(meta);
  std::vector<std::string> before = Targets(Spec(input));
  input.mounts = {{"/dev/shm", {"tmpfs", "tmpfs", {"nosuid", "size=4096"}}}};
  json spec = Spec(input);
  EXPECT_EQ(Targets(spec), before);
  EXPECT_EQ(spec["mounts"][3]["options"], json({"nosuid", "size=4096"}));
}

TEST(RuntimeSpec, CgroupParentOfTheStepWins) {
  ProcessMeta meta = EnvStep();
  SpecInput input = InputFor(meta);
  input.cgroup_parent = "daemon";
  EXPECT_EQ(CgroupsPath(input), "/daemon/buildkit/<id>");
  meta.cgroup_parent = "../a//b";
  EXPECT_EQ(CgroupsPath(input), "/a/b/buildkit/<id>");
  meta.cgroup_parent = "x.slice:";
  EXPECT_EQ(CgroupsPath(input), "x.slice:<id>");
  meta.cgroup_parent = "x.slice";
  EXPECT_EQ(CgroupsPath(input), "/x.slice/buildkit/<id>");
}

TEST(RuntimeSpec, InsecureStepHasNoFilterNoMasksAndAllCapabilities) {
  ProcessMeta meta = EnvStep();
  meta.insecure = true;
  SpecInput input = InputFor(meta);
  input.host_capabilities = {"CAP_SYS_ADMIN"};
  json spec = Spec(input);
  EXPECT_FALSE(spec["linux"].contains("seccomp"));
  EXPECT_FALSE(spec["linux"].contains("maskedPaths"));
  EXPECT_EQ(spec["linux"]["devices"].size(), 14u);
  EXPECT_EQ(spec["process"]["capabilities"]["ambient"], json({"CAP_SYS_ADMIN"}));
  EXPECT_EQ(spec["process"]["capabilities"]["bounding"].size(), 15u);
  EXPECT_EQ(spec["mounts"][5]["options"].back(), "rw");
  EXPECT_EQ(spec["mounts"][8]["options"].front(), "rw");
}

TEST(RuntimeSpec, LimitsAndUlimitsAreThere) {
  ProcessMeta meta = EnvStep();
  meta.ulimits = {{"nofile", 512, 1024}};
  meta.limits = Limits{.memory = 67108864, .memory_swap = 100663296, .cpu_shares = 100,
                       .cpu_period = 20000, .cpu_quota = 10000, .cpuset_cpus = "0"};
  json spec = Spec(InputFor(meta));
  EXPECT_EQ(spec["process"]["rlimits"],
            json::parse(R"([{"type":"RLIMIT_NOFILE","hard":1024,"soft":512}])"));
  EXPECT_EQ(spec["linux"]["resources"]["cpu"],
            json::parse(R"({"cpus":"0","period":20000,"quota":10000,"shares":100})"));
  EXPECT_EQ(spec["linux"]["resources"]["memory"],
            json::parse(R"({"limit":67108864,"swap":100663296})"));
}

TEST(RuntimeSpec, OwnTracingVariablesWinAndBareNamesGo) {
  ProcessMeta meta = EnvStep();
  meta.env = {"OTEL_TRACES_EXPORTER=none", "BARE", "A=1", "A=2"};
  json env = Spec(InputFor(meta))["process"]["env"];
  EXPECT_EQ(env[0], "OTEL_TRACES_EXPORTER=none");
  EXPECT_EQ(env[1], "A=1");
  EXPECT_EQ(env[2], "A=2");
  EXPECT_EQ(env.size(), 6u);
}

TEST(RuntimeSpec, NoProcessSandboxSharesProc) {
  ProcessMeta meta = EnvStep();
  SpecInput input = InputFor(meta);
  input.no_process_sandbox = true;
  json spec = Spec(input);
  EXPECT_EQ(spec["mounts"][0]["options"], json({"rbind"}));
  EXPECT_EQ(spec["linux"]["namespaces"][0]["type"], "ipc");
  EXPECT_EQ(spec["linux"]["maskedPaths"], json({"/sys/firmware", "/sys/devices/virtual/powercap"}));
  EXPECT_FALSE(spec["linux"].contains("readonlyPaths"));
}

TEST(RuntimeSpec, BindMountsRepeatWhatAUserNamespaceMayNotTakeAway) {
  ProcessMeta meta = EnvStep();
  SpecInput input = InputFor(meta);
  input.mounts = {{"/data", {"bind", "/home/data", {"rbind", "rw"}}},
                  {"/tmp/t", {"tmpfs", "/home/tmpfs", {"nosuid"}}}};
  input.locked_options = [](const std::string& source) {
    return source.starts_with("/home/") ? std::vector<std::string>{"nodev", "rw"}
                                        : std::vector<std::string>();
  };
  json mounts = Spec(input)["mounts"];
  auto options = [&](std::string_view target) {
    for (const json& mount : mounts) {
      if (mount["destination"] == target) return mount["options"].dump();
    }
    return std::string();
  };
  EXPECT_EQ(options("/data"), R"(["rbind","rw","nodev"])");
  EXPECT_EQ(options("/tmp/t"), R"(["nosuid"])");
}

TEST(RuntimeSpec, NetworkNamespaceIsNewOrGiven) {
  ProcessMeta meta = EnvStep();
  SpecInput input = InputFor(meta);
  input.network = {.host = false, .path = {}};
  EXPECT_EQ(Spec(input)["linux"]["namespaces"][4], json::parse(R"({"type":"network"})"));
  input.network.path = "/ns";
  EXPECT_EQ(Spec(input)["linux"]["namespaces"][4],
            json::parse(R"({"type":"network","path":"/ns"})"));
}

TEST(RuntimeSpec, AnAttachedTerminalIsOneOfTheProcess) {
  ProcessMeta meta = EnvStep();
  meta.tty = true;
  EXPECT_EQ(Spec(InputFor(meta))["process"]["terminal"], true);
}

TEST(RuntimeSpec, AJoiningProcessKeepsWhatItDoesNotSay) {
  ProcessMeta first = EnvStep();
  ProcessMeta joining;
  joining.args = {"id"};

  auto process = MakeExecProcess(MakeRuntimeSpec(InputFor(first)), joining, std::nullopt);

  ASSERT_TRUE(process.ok());
  json parsed = json::parse(*process);
  EXPECT_EQ(parsed["args"], json({"id"}));
  EXPECT_EQ(parsed["cwd"], "/");
  EXPECT_EQ(parsed["env"][0], "PATH=/bin");
  EXPECT_EQ(parsed["user"]["uid"], 0);
  EXPECT_EQ(parsed["terminal"], false);
}

TEST(RuntimeSpec, AJoiningProcessMayBeAnotherUserElsewhere) {
  ProcessMeta first = EnvStep();
  ProcessMeta joining;
  joining.args = {"id"};
  joining.cwd = "/home";
  joining.env = {"A=b"};

  auto process =
      MakeExecProcess(MakeRuntimeSpec(InputFor(first)), joining, ContainerUser{1000, 1001});

  ASSERT_TRUE(process.ok());
  json parsed = json::parse(*process);
  EXPECT_EQ(parsed["cwd"], "/home");
  EXPECT_EQ(parsed["env"], json({"A=b"}));
  EXPECT_EQ(parsed["user"]["uid"], 1000);
  EXPECT_EQ(parsed["user"]["additionalGids"], json({1001}));
}

TEST(RuntimeSpec, ASpecThatCannotBeReadIsAnError) {
  EXPECT_FALSE(MakeExecProcess("{", ProcessMeta(), std::nullopt).ok());
  EXPECT_FALSE(MakeExecProcess("{}", ProcessMeta(), std::nullopt).ok());
}

}  // namespace
}  // namespace kiln::worker::exec
