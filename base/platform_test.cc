// Platforms against tests/golden/llb/platforms.json (measured on linux/amd64).
#include "base/platform.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace kiln {
namespace {

using nlohmann::json;

json Golden() {
  return json::parse(std::ifstream(KILN_SOURCE_DIR "/tests/golden/llb/platforms.json"));
}

TEST(Platform, ParsesAndFormatsLikeTheReference) {
  if (DefaultPlatform().architecture != "amd64") GTEST_SKIP() << "measured on amd64";
  const json items = Golden()["parse"];
  for (const json& item : items) {
    const StatusOr<Platform> platform = ParsePlatform(item["input"].get<std::string>());
    if (item.contains("error")) {
      EXPECT_EQ(platform.status().message(), item["error"]) << item;
      continue;
    }
    ASSERT_TRUE(platform.ok()) << item << platform.status();
    EXPECT_EQ(platform->os, item["os"]) << item;
    EXPECT_EQ(platform->architecture, item["architecture"]) << item;
    EXPECT_EQ(platform->variant, item.value("variant", "")) << item;
    EXPECT_EQ(platform->os_version, item.value("osVersion", "")) << item;
    EXPECT_EQ(platform->os_features, item.value("osFeatures", std::vector<std::string>()));
    EXPECT_EQ(FormatPlatform(*platform), item["format"]) << item;
    EXPECT_EQ(FormatPlatformAll(*platform), item["formatAll"]) << item;
    EXPECT_EQ(FormatPlatformAll(NormalizePlatform(*platform)), item["normalized"]) << item;
  }
}

TEST(Platform, RunsWhatTheReferenceRuns) {
  const json items = Golden()["match"];
  for (const json& item : items) {
    const StatusOr<Platform> have = ParsePlatform(item["matcher"].get<std::string>());
    const StatusOr<Platform> wanted = ParsePlatform(item["platform"].get<std::string>());
    ASSERT_TRUE(have.ok() && wanted.ok()) << item;
    EXPECT_EQ(PlatformMatchesOnly(*have, *wanted), item["only"]) << item;
    EXPECT_EQ(PlatformMatchesStrict(*have, *wanted), item["onlyStrict"]) << item;
  }
}

TEST(Platform, PrefersTheNearestVariant) {
  const Platform machine{.os = "linux", .architecture = "arm", .variant = "v7"};
  const Platform v6{.os = "linux", .architecture = "arm", .variant = "v6"};
  const Platform v5{.os = "linux", .architecture = "arm", .variant = "v5"};
  EXPECT_TRUE(PlatformBetter(machine, v6, v5));
  EXPECT_FALSE(PlatformBetter(machine, v5, v6));
  EXPECT_FALSE(PlatformBetter(machine, v6, v6));
}

TEST(Platform, DecodesEscapedVersionsAndFeatures) {
  const StatusOr<Platform> platform = ParsePlatform("windows(1%2B2+a%2Fb)/amd64");
  ASSERT_TRUE(platform.ok());
  EXPECT_EQ(platform->os_version, "1+2");
  EXPECT_EQ(platform->os_features, std::vector<std::string>{"a/b"});
  EXPECT_EQ(FormatPlatformAll(*platform), "windows(1%2B2+a%2Fb)/amd64");
  EXPECT_EQ(ParsePlatform("linux(%zz)/amd64").status().message(),
            "\"linux(%zz)/amd64\" has an invalid OS version \"%zz\": invalid URL escape \"%zz\"");
}

}  // namespace
}  // namespace kiln
