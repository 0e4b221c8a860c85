// Unit tests of the daemon's configuration: file, sizes, flags.
#include "cmd/buildkitd/config.h"

#include <gtest/gtest.h>

#include "cmd/buildkitd/flags.h"
#include "cmd/buildkitd/gc_defaults.h"
#include "cmd/buildkitd/worker_facts.h"

namespace kiln::buildkitd {
namespace {

TEST(Config, MistakesAreNamedInTheReferencesWords) {
  const struct {
    const char* toml;
    const char* error;
  } cases[] = {
      {"root = 5",
       "failed to parse config: toml: cannot decode TOML integer into struct field "
       "config.Config.Root of type string"},
      {"[worker.oci]\nenabled = \"yes\"",
       "failed to parse config: toml: cannot decode TOML string into struct field "
       "config.OCIConfig.Enabled of type *bool"},
      {"[[worker.oci.gcpolicy]]\nmaxUsedSpace = \"much\"",
       "failed to parse config: toml: invalid disk space much"},
      {"root = \n", "failed to parse config: toml: incomplete number"},
      {"root\n", "failed to parse config: toml: expected character ="},
      {"a = [1\n",
       "failed to parse config: toml: expected character ] but the document ended here"},
      {"a = [1 2]\n", "failed to parse config: toml: array elements must be separated by commas"},
      {"a = \"x\n", "failed to parse config: toml: basic strings cannot have new lines"},
      {"= 1\n", "failed to parse config: toml: invalid character at start of key: ="},
      {"a = 1 b = 2\n", "failed to parse config: toml: expected newline but got U+0062 'b'"},
      {"a = tru\n", "failed to parse config: toml: expected 'true'"},
      {"[[worker\n", "failed to parse config: toml: expected character ]"},
      {"root = \"/a\"\nroot = \"/b\"", "failed to parse config: toml: key root is already defined"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.toml);
    auto config = ParseConfig(c.toml);
    ASSERT_FALSE(config.ok());
    EXPECT_EQ(config.status().message(), c.error);
  }
}

TEST(Config, UnknownKeysAreIgnoredAndKnownOnesRead) {
  auto config = ParseConfig(R"(
nonsense = 1
root = "/state"
insecure-entitlements = ["network.host"]
[grpc]
  address = ["tcp://127.0.0.1:1", "unix:///x"]
  gid = 5
[worker.oci]
  max-parallelism = 3
  gckeepstorage = "10GB"
  [[worker.oci.gcpolicy]]
    keepDuration = "48h"
    reservedSpace = "20%"
    filters = ["type==regular"]
[registry."docker.io"]
  mirrors = ["localhost:5000"]
  http = true
[dns]
  nameservers = ["1.1.1.1"]
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->root, "/state");
  EXPECT_EQ(config->addresses.size(), 2u);
  EXPECT_EQ(*config->gid, 5);
  EXPECT_EQ(config->oci.max_parallelism, 3);
  EXPECT_EQ(config->oci.gc.keep_storage.bytes, int64_t{10} << 30);
  ASSERT_EQ(config->oci.gc.policies.size(), 1u);
  EXPECT_EQ(config->oci.gc.policies[0].keep_duration, int64_t{48} * 3600 * 1'000'000'000);
  EXPECT_EQ(config->oci.gc.policies[0].reserved_space.percentage, 20);
  EXPECT_EQ(config->registries["docker.io"].mirrors[0], "localhost:5000");
  EXPECT_TRUE(*config->registries["docker.io"].http);
  EXPECT_EQ(config->dns->nameservers[0], "1.1.1.1");
}

TEST(Config, NoSyntaxIsBuiltInUnlessItIsNamed) {
  EXPECT_TRUE(ParseConfig("[frontend.\"dockerfile.v0\"]\nenabled = true")->dockerfile_syntaxes.empty());
  auto config = ParseConfig(R"([frontend."dockerfile.v0"]
syntaxes = ["docker/dockerfile:1*", "docker/dockerfile-upstream*"])");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->dockerfile_syntaxes,
            (std::vector<std::string>{"docker/dockerfile:1*", "docker/dockerfile-upstream*"}));
}

TEST(Flags, WinOverDefaultsInAllTheirSpellings) {
  const char* argv[] = {"buildkitd", "--config=/nonexistent/x.toml", "--root", "/r",
                        "-addr",     "unix:///a",                    "--addr=unix:///b",
                        "--debug",   "--oci-worker=false",           "--oci-worker-gc=false",
                        "--oci-worker-labels=a=b"};
  auto line = ParseCommandLine(std::size(argv), argv);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.root, "/r");
  EXPECT_EQ(line->config.addresses, (std::vector<std::string>{"unix:///a", "unix:///b"}));
  EXPECT_EQ(line->config.log_level, "debug");
  EXPECT_EQ(line->config.oci.enabled, std::optional<bool>(false));
  EXPECT_EQ(line->config.oci.gc.gc, std::optional<bool>(false));
  EXPECT_EQ(line->config.oci.labels["a"], "b");
}

TEST(Workers, AutoNeedsASocketAndNoWorkerIsAnError) {
  Config config;
  config.oci.enabled = false;
  config.containerd.address = "/nonexistent/containerd.sock";
  EXPECT_EQ(SettleWorkers(&config).message(), "no worker found, rebuild the buildkit daemon?");
  config.containerd.enabled.reset();
  config.containerd.address = "unix:///dev/null";
  EXPECT_TRUE(SettleWorkers(&config).ok());
  EXPECT_TRUE(UsesContainerd(config));
}

TEST(Workers, ASnapshotterBehindASocketKeepsItsName) {
  Config config;
  config.oci.snapshotter = "overlayfs";
  EXPECT_EQ(ChooseSnapshotter(config).value_or(""), "overlayfs");
  config.oci.snapshotter = "stargz";
  EXPECT_EQ(ChooseSnapshotter(config).value_or(""), "stargz");
  config.oci.snapshotter = "of-its-own";
  EXPECT_FALSE(ChooseSnapshotter(config).ok());
  config.oci.proxy_snapshotter_path = "/dev/null";
  EXPECT_EQ(ChooseSnapshotter(config).value_or(""), "of-its-own");
  config.oci.proxy_snapshotter_path = "/nowhere/no.sock";
  EXPECT_EQ(ChooseSnapshotter(config).status().message(),
            "snapshotter doesn't exist on \"/nowhere/no.sock\" (Do not include 'unix://' prefix): "
            "stat /nowhere/no.sock: no such file or directory");
}

TEST(Flags, UnknownOnesAreRefused) {
  const char* argv[] = {"buildkitd", "--nosuch"};
  testing::internal::CaptureStdout();
  auto line = ParseCommandLine(2, argv);
  testing::internal::GetCapturedStdout();
  ASSERT_FALSE(line.ok());
  EXPECT_EQ(line.status().message(), "flag provided but not defined: -nosuch");
}

TEST(GcRules, DefaultsAreFourTiersAndOffIsNone) {
  GcConfig config;
  auto rules = GcRules(config, "/");
  ASSERT_EQ(rules.size(), 4u);
  EXPECT_EQ(rules[0].max_used_bytes, 512'000'000);
  EXPECT_EQ(rules[1].keep_duration, int64_t{60} * 24 * 3600 * 1'000'000'000);
  EXPECT_TRUE(rules[3].all);
  config.gc = false;
  EXPECT_TRUE(GcRules(config, "/").empty());
}

TEST(GcRules, KeepStorageFlagIsInMegabytes) {
  GcConfig config;
  ASSERT_TRUE(ParseKeepStorage("100,200,300", &config).ok());
  EXPECT_EQ(FormatGcConfig(config, "/"), "100,200,300");
  EXPECT_FALSE(ParseKeepStorage("x", &config).ok());
}

}  // namespace
}  // namespace kiln::buildkitd
