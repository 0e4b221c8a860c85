// Tests of filter expressions. Expectations follow containerd's filter grammar.
#include "base/filter.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

std::optional<std::string> Sample(std::span<const std::string> path) {
  if (path[0] == "id") return "abc1";
  if (path[0] == "type") return "source.local";
  if (path[0] == "shared") return "";
  if (path[0] == "labels" && path.size() == 2 && path[1] == "a b") return "x,y";
  return std::nullopt;
}

bool Matches(std::vector<std::string> expressions) {
  StatusOr<Filter> filter = Filter::ParseAll(expressions);
  EXPECT_TRUE(filter.ok()) << filter.status();
  return filter.ok() && filter->Match(Sample);
}

std::string ErrorOf(const std::string& expression) {
  return Filter::ParseAll({expression}).status().message();
}

TEST(Filter, NothingMatchesEverything) {
  EXPECT_TRUE(Matches({}));
  EXPECT_TRUE(Matches({""}));
}

TEST(Filter, OperatorsCompareValues) {
  EXPECT_TRUE(Matches({"id==abc1"}));
  EXPECT_FALSE(Matches({"id==abc"}));
  EXPECT_TRUE(Matches({"id!=abc"}));
  EXPECT_TRUE(Matches({"nothing!=abc"}));
  EXPECT_FALSE(Matches({"nothing==\"\""}));
  EXPECT_TRUE(Matches({"id~=^ab.[0-9]$"}));
  EXPECT_TRUE(Matches({"id~=/b./"}));
  EXPECT_FALSE(Matches({"id~=("}));
  EXPECT_TRUE(Matches({"type==source.local"}));
}

TEST(Filter, PresenceAndQuotedFields) {
  EXPECT_TRUE(Matches({"shared"}));
  EXPECT_FALSE(Matches({"mutable"}));
  EXPECT_TRUE(Matches({"labels.\"a b\"==\"x,y\""}));
}

TEST(Filter, AllSelectorsOfOneExpressionAndAnyExpression) {
  EXPECT_TRUE(Matches({"id==abc1,shared"}));
  EXPECT_FALSE(Matches({"id==abc1,mutable"}));
  EXPECT_TRUE(Matches({"mutable", "shared"}));
}

TEST(Filter, FaultsAreShownInPlace) {
  EXPECT_EQ(ErrorOf("id=abc"),
            "filters: parse error: [id >|=|< abc]: unsupported operator \"=\": invalid argument");
  EXPECT_EQ(ErrorOf("id=="),
            "filters: parse error: [id==]: expected value or quoted: invalid argument");
  EXPECT_EQ(ErrorOf("==x"),
            "filters: parse error: [ >|=|< =x]: expected field or quoted: invalid argument");
  EXPECT_FALSE(ErrorOf("id==\"x").empty());
  EXPECT_FALSE(ErrorOf("id==/x/").empty());
  EXPECT_FALSE(ErrorOf("id==a,").empty());
}

}  // namespace
}  // namespace kiln
