// Expectations are what Go's encoding/json prints.
#include "base/go_json.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(GoJson, StringsAreEscapedForHtmlAndScripts) {
  EXPECT_EQ(GoJsonString("a<b>&\"\\"), "\"a\\u003cb\\u003e\\u0026\\\"\\\\\"");
  EXPECT_EQ(GoJsonString("\xE2\x80\xA8\n\t\x01\x7f"), "\"\\u2028\\n\\t\\u0001\x7f\"");
  EXPECT_EQ(GoJsonString("\xff\xC3\xA9"), "\"\\ufffd\xC3\xA9\"");
}

TEST(GoJson, IndentKeepsEmptyContainersOnOneLine) {
  EXPECT_EQ(GoJsonIndent(R"({"a":[],"b":{"c":"x{,"},"d":[1,2]})"),
            "{\n  \"a\": [],\n  \"b\": {\n    \"c\": \"x{,\"\n  },\n  \"d\": [\n    1,\n    2\n  ]\n}");
}

TEST(GoJson, ObjectsLeaveOutEmptyMembersOnRequest) {
  GoJsonObject object;
  object.OmitString("a", "");
  object.OmitInt("b", 0);
  object.String("c", "");
  EXPECT_EQ(object.Finish(), R"({"c":""})");
}

TEST(GoJson, RawTextIsCompactedAndEscaped) {
  EXPECT_EQ(*GoJsonCompact("{ \"a\" : [1, \"x <\\\"> &\"] }\n"),
            "{\"a\":[1,\"x \\u003c\\\"\\u003e \\u0026\"]}");
  EXPECT_EQ(*GoJsonCompact(""), "null");
  EXPECT_FALSE(GoJsonCompact("{} {}").ok());
}

TEST(GoJson, ATripThroughAnySortsMembersAndMakesFloats) {
  EXPECT_EQ(*GoJsonSorted(R"({"b":-1,"a":[1700000000123456789,0.5,1e21,1e-7,true,null]})"),
            R"({"a":[1700000000123456800,0.5,1e+21,1e-7,true,null],"b":-1})");
}

}  // namespace
}  // namespace kiln
