#include "oci/manifest.h"

#include <gtest/gtest.h>

#include "base/go_json.h"
#include "base/strings.h"

namespace kiln::oci {
namespace {

const Digest kDigest = Digest::Of("x");

TEST(Manifest, IsWrittenInTheReferencesOrder) {
  Manifest manifest{.media_type = std::string(kOciManifest)};
  manifest.config = {.media_type = std::string(kOciConfig), .digest = kDigest, .size = 3};
  manifest.annotations = {{"a", "<b>"}};
  EXPECT_EQ(ManifestJson(manifest),
            StrCat(R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)",
                   R"("config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":")",
                   kDigest.text(), R"(","size":3},"layers":null,)",
                   "\"annotations\":{\"a\":\"\\u003cb\\u003e\"}}"));
}

TEST(Manifest, ComesBackByteForByte) {
  std::string json = GoJsonIndent(ManifestJson(
      {.media_type = std::string(kOciManifest),
       .config = {.media_type = std::string(kOciConfig), .digest = kDigest, .size = 1},
       .layers = {{.media_type = std::string(kOciLayerGzip), .digest = kDigest, .size = 2,
                   .annotations = {{"k", "v"}}}}}));
  StatusOr<Manifest> parsed = ParseManifest(json);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(GoJsonIndent(ManifestJson(*parsed)), json);
}

TEST(Index, ChoosesTheBestPlatform) {
  Index index;
  auto add = [&](const char* os, const char* arch, const char* variant) {
    Descriptor descriptor{.digest = Digest::Of(StrCat(arch, variant))};
    descriptor.platform = Platform{.os = os, .architecture = arch, .variant = variant};
    index.manifests.push_back(descriptor);
  };
  index.manifests.push_back({.digest = kDigest});
  add("linux", "arm", "v6");
  add("linux", "arm", "v7");
  add("linux", "amd64", "");
  const Descriptor* chosen = ChooseManifest(index, {.os = "linux", .architecture = "arm",
                                                    .variant = "v7"});
  ASSERT_NE(chosen, nullptr);
  EXPECT_EQ(chosen->digest, Digest::Of("armv7"));
  EXPECT_EQ(ChooseManifest(index, {.os = "linux", .architecture = "s390x"}), nullptr);
}

TEST(Documents, AreRefusedWhenMalformed) {
  for (const char* bad : {"", "[]", "{}", R"({"config":1})", R"({"config":{"digest":"x"}})",
                          R"({"manifests":[],"config":{}})"}) {
    EXPECT_FALSE(ParseManifest(bad).ok()) << bad;
  }
  for (const char* bad : {R"({"manifests":1})", R"({"manifests":[{}]})", R"({"layers":[]})",
                          R"({"manifests":[{"digest":5}]})"}) {
    EXPECT_FALSE(ParseIndex(bad).ok()) << bad;
  }
}

TEST(Documents, SayWhatTheyAre) {
  EXPECT_EQ(MediaTypeOf(R"({"mediaType":"a/b"})"), "a/b");
  EXPECT_EQ(MediaTypeOf(R"({"manifests":[]})"), kOciIndex);
  EXPECT_EQ(MediaTypeOf("garbage"), "");
}

}  // namespace
}  // namespace kiln::oci
