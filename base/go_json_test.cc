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

}  // namespace
}  // namespace kiln
