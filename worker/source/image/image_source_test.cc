// Keys and pulls, against documents made by hand.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "worker/source/image/image_pull.h"

namespace kiln::worker {
namespace {

TEST(ManifestKey, IsTheDigestOfTheReferencesJson) {
  Digest root = Digest::Of("m");
  Platform arm{.os = "linux", .architecture = "arm", .variant = "v7"};
  EXPECT_EQ(ManifestKey(root, arm, 2),
            Digest::Of(StrCat(R"({"Digest":")", root.text(),
                              R"(","OS":"linux","Arch":"arm","Variant":"v7","Limit":2})"))
                .text());
}

TEST(LayersKey, IsTheChainOfDiffIds) {
  std::string a = Digest::Of("a").text(), b = Digest::Of("b").text();
  std::string config = StrCat(R"({"rootfs":{"type":"layers","diff_ids":[")", a, "\",\"", b, "\"]}}");
  EXPECT_EQ(LayersKey(config, std::nullopt).value_or(""), Digest::Of(StrCat(a, " ", b)).text());
  EXPECT_EQ(LayersKey(config, 1).value_or(""), a);
  EXPECT_EQ(LayersKey(config, 3).status().message(), "image has 2 layers, limit is 3");
  EXPECT_EQ(LayersKey(R"({"rootfs":{"type":"layers"}})", std::nullopt).value_or("x"), "");
}

}  // namespace
}  // namespace kiln::worker
