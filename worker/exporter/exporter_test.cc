// Attributes, configs and archives of exports; layers and mounts need a real store.
#include <gtest/gtest.h>

#include "worker/exporter/export_options.h"
#include "worker/exporter/image_config_patch.h"

namespace kiln::worker {
namespace {

constexpr const char* kConfig =
    R"({"os":"linux","architecture":"amd64","config":{"Env":["A=<b>"],"Cmd":["sh"]},)"
    R"("created":"2024-01-02T03:04:05.600Z","history":[{"created_by":"ENV","empty_layer":true},)"
    R"({"created_by":"RUN"}],"rootfs":{"type":"layers","diff_ids":null},"x":1})";

TEST(PatchImageConfig, SortsMembersAndKeepsUnknownOnes) {
  ConfigPatch patch;
  patch.layers = {{"sha256:aa"}};
  patch.chain = {{"", "RUN x", Time::FromSeconds(1000)}};
  EXPECT_EQ(
      PatchImageConfig(kConfig, patch).value_or(""),
      "{\"architecture\":\"amd64\",\"config\":{\"Env\":[\"A=\\u003cb\\u003e\"],\"Cmd\":[\"sh\"]},"
      "\"created\":\"2024-01-02T03:04:05.600Z\",\"history\":["
      "{\"created\":\"1970-01-01T00:16:40Z\",\"created_by\":\"ENV\",\"empty_layer\":true},"
      "{\"created\":\"1970-01-01T00:16:40Z\",\"created_by\":\"RUN\"}],\"os\":\"linux\","
      "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:aa\"]},\"x\":1}");
}

TEST(PatchImageConfig, LowersTimesToTheEpoch) {
  ConfigPatch patch;
  patch.layers = {{"sha256:aa"}};
  patch.chain = {{"", "RUN x", Time::FromSeconds(2'000'000'000)}};
  patch.epoch = 1'000'000'000;
  std::string config = PatchImageConfig(kConfig, patch).value_or("");
  EXPECT_NE(config.find("\"created\":\"2001-09-09T01:46:40Z\",\"history\""), std::string::npos);
  EXPECT_EQ(config.find("2033"), std::string::npos);
}

TEST(PatchImageConfig, MakesHistoryForLayersThatHaveNone) {
  ConfigPatch patch;
  patch.layers = {{"sha256:aa"}, {"sha256:bb"}};
  patch.chain = {{"", "pulled from x", Time::FromSeconds(1)}, {"", "", Time::FromSeconds(2)}};
  std::string config = PatchImageConfig(R"({"os":"linux","architecture":"arm"})", patch)
                           .value_or("");
  EXPECT_NE(config.find(R"({"created":"1970-01-01T00:00:01Z","created_by":"pulled from x",)"
                        R"("comment":"buildkit.exporter.image.v0"})"),
            std::string::npos);
  EXPECT_NE(config.find("created by buildkit"), std::string::npos);
}

TEST(PatchImageConfig, OfNothingHasNulls) {
  std::string config = PatchImageConfig("", {}).value_or("");
  EXPECT_NE(config.find(R"("created":null)"), std::string::npos);
  EXPECT_NE(config.find(R"("history":null)"), std::string::npos);
  EXPECT_NE(config.find(R"("diff_ids":null)"), std::string::npos);
}

TEST(PatchImageConfig, RefusesConfigsWithoutAPlatform) {
  EXPECT_EQ(PatchImageConfig(R"({"architecture":"arm"})", {}).status().message(),
            "invalid image config for export: missing os");
  EXPECT_FALSE(PatchImageConfig("[]", {}).ok());
}

TEST(NormalizeTimeText, IsWhatGoPrints) {
  EXPECT_EQ(NormalizeTimeText("2020-01-01T00:00:00.000000000Z"), "2020-01-01T00:00:00Z");
  EXPECT_EQ(NormalizeTimeText("2020-01-01T00:00:00.120+02:00"), "2020-01-01T00:00:00.12+02:00");
  EXPECT_EQ(NormalizeTimeText("2020-01-01T00:00:00+00:00"), "2020-01-01T00:00:00Z");
}

TEST(ImageOptions, AreParsedInTheReferencesWords) {
  auto fails = [](Attrs attrs) { return TakeImageOptions(attrs).status().message(); };
  EXPECT_EQ(fails({{"compression", "lz4"}}), "unsupported compression type lz4");
  EXPECT_EQ(fails({{"compression-level", "x"}}),
            "non-integer value x specified for compression-level: strconv.ParseInt: parsing "
            "\"x\": invalid syntax");
  EXPECT_EQ(fails({{"oci-mediatypes", "x"}}),
            "non-bool value specified for oci-mediatypes: strconv.ParseBool: parsing \"x\": "
            "invalid syntax");
  EXPECT_EQ(fails({{"compression", "estargz"}, {"oci-mediatypes", "false"}}),
            "exporter option \"compression=estargz\" conflicts with \"oci-mediatypes=false\"");
}

TEST(ImageOptions, LeaveWhatTheyDoNotKnow) {
  Attrs attrs = {{"name", "a"}, {"push", "true"}, {"annotation.k", "v"},
                 {"annotation-manifest[linux/arm64].k", "w"}, {"rewrite-timestamp", "true"}};
  auto options = TakeImageOptions(attrs);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(attrs, (Attrs{{"push", "true"}}));
  EXPECT_TRUE(options->rewrite_timestamp);
  Platform arm{.os = "linux", .architecture = "arm64"};
  EXPECT_EQ(AnnotationsFor(options->annotations, &arm).manifest.at("k"), "w");
  EXPECT_EQ(AnnotationsFor(options->annotations, nullptr).manifest.at("k"), "v");
}

TEST(SourceEpoch, PrefersThePlatformsOwn) {
  Attrs metadata = {{"source.date.epoch", "1"}, {"source.date.epoch/linux/amd64", "2"}};
  EXPECT_EQ(SourceEpoch(metadata, "linux/amd64").value_or(std::nullopt), 2);
  EXPECT_EQ(SourceEpoch(metadata, "").value_or(std::nullopt), 1);
}

}  // namespace
}  // namespace kiln::worker
