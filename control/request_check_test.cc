#include "control/request_check.h"

#include <gtest/gtest.h>

namespace kiln::control {
namespace {

using StringMap = std::map<std::string, std::string>;

const char* const kTwo =
    R"({"Platforms":[{"ID":"linux/amd64","Platform":{"architecture":"amd64","os":"linux"}},)"
    R"({"ID":"linux/arm64","Platform":{"architecture":"arm64","os":"linux"}}]})";
const char* const kOne =
    R"({"Platforms":[{"ID":"linux/arm64","Platform":{"architecture":"arm64","os":"linux"}}]})";

std::vector<std::string> Warnings(const char* asked, const char* got, size_t refs) {
  return *CheckPlatforms({{"platform", asked}}, {{"refs.platforms", got}}, refs, false);
}

TEST(CheckPlatforms, IsContentWithWhatWasAskedFor) {
  EXPECT_TRUE(Warnings("linux/arm64,linux/amd64", kTwo, 2).empty());
  EXPECT_TRUE(Warnings("linux/arm64", kOne, 1).empty());
}

TEST(CheckPlatforms, WarnsInTheWordsOfTheReference) {
  EXPECT_EQ(Warnings("linux/amd64", kOne, 1)[0],
            R"(Requested platform "linux/amd64" does not match result platform "linux/arm64")");
  EXPECT_EQ(Warnings("linux/amd64,linux/arm64", kOne, 0)[0],
            "Multiple platforms requested but result is not multi-platform");
  EXPECT_EQ(Warnings("linux/s390x,linux/amd64", kTwo, 2)[0],
            "Requested platforms linux/amd64,linux/s390x do not match result platforms "
            "linux/amd64,linux/arm64");
  EXPECT_EQ(Warnings("linux/amd64,linux/amd64", kTwo, 2)[0],
            R"(Duplicate platform result requested "linux/amd64")");
}

TEST(CheckPlatforms, NeedsAMappingForSeveralResults) {
  EXPECT_FALSE(CheckPlatforms({}, {}, 2, false).ok());
  EXPECT_TRUE(CheckPlatforms({}, {}, 0, true)->empty());
}

TEST(NoteRequest, KeepsPlatformsLabelsAndSubrequest) {
  frontend::Result result;
  NoteRequest({{"platform", "linux/amd64"}, {"label:a", "1"}, {"requestid", "x"}}, &result);
  EXPECT_EQ(result.metadata["verifier.requestopts"],
            R"({"Platforms":["linux/amd64"],"Labels":{"a":"1"},"Request":"x"})");
}

}  // namespace
}  // namespace kiln::control
