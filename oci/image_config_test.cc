// Configs through reading and writing, judged by what the reference wrote.
#include "oci/image_config.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace kiln::oci {
namespace {

TEST(ImageConfig, GoldenConfigsComeBackByteForByte) {
  const std::string cases = KILN_SOURCE_DIR "/tests/golden/dockerfile/cases";
  auto names = ListDir(cases);
  ASSERT_TRUE(names.ok()) << names.status();
  int compared = 0;
  for (const std::string& name : *names) {
    auto text = ReadFile(cases + "/" + name + "/expect/image.json");
    if (!text.ok()) continue;
    auto image = ParseImage(*text);
    ASSERT_TRUE(image.ok()) << name << image.status();
    EXPECT_EQ(ImageJson(*image), *text) << name;
    ++compared;
  }
  EXPECT_GT(compared, 200);
}

TEST(ImageConfig, TimesLoseZerosThatGoWouldNotPrint) {
  auto image = ParseImage(R"({"created":"2024-01-02T03:04:05.120000Z","os":"linux"})");
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(image->created, "2024-01-02T03:04:05.12Z");
}

TEST(ImageConfig, WrongTypesAreErrors) {
  EXPECT_FALSE(ParseImage("[]").ok());
  EXPECT_FALSE(ParseImage("{").ok());
  EXPECT_FALSE(ParseImage(R"({"os":1})").ok());
  EXPECT_FALSE(ParseImage(R"({"config":{"Env":"A=b"}})").ok());
}

}  // namespace
}  // namespace kiln::oci
