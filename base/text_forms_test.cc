// Csv, units and suggestions. Expectations: RFC 4180, Go's documentation of
// ParseDuration and Duration.String, docker's units.
#include <gtest/gtest.h>

#include "base/csv.h"
#include "base/suggest.h"
#include "base/units.h"

namespace kiln {
namespace {

using Texts = std::vector<std::string>;

TEST(Csv, ReadsPlainAndQuotedFields) {
  EXPECT_EQ(*CsvFields("a,b=c"), (Texts{"a", "b=c"}));
  EXPECT_EQ(*CsvFields("\"a,b\",\"c\"\"d\","), (Texts{"a,b", "c\"d", ""}));
  EXPECT_EQ(*CsvFields("a,\r\n"), (Texts{"a", ""}));
  EXPECT_EQ(CsvFields("").status().message(), "EOF");
  EXPECT_EQ(CsvFields("a\"b").status().message(),
            "parse error on line 1, column 2: bare \" in non-quoted-field");
  EXPECT_EQ(CsvFields("\"a\"b").status().message(),
            "parse error on line 1, column 3: extraneous or missing \" in quoted-field");
  EXPECT_FALSE(CsvFields("\"a").ok());
}

TEST(Units, DurationsFollowGo) {
  EXPECT_EQ(*ParseDuration("1h15m30.918s"), 4530918000000);
  EXPECT_EQ(*ParseDuration("-1.5h"), -5400000000000);
  EXPECT_EQ(*ParseDuration("1\xC2\xB5s"), 1000);
  EXPECT_EQ(*ParseDuration("0"), 0);
  EXPECT_EQ(ParseDuration("").status().message(), "time: invalid duration \"\"");
  EXPECT_EQ(ParseDuration("3").status().message(), "time: missing unit in duration \"3\"");
  EXPECT_EQ(ParseDuration("3x").status().message(), "time: unknown unit \"x\" in duration \"3x\"");
  EXPECT_FALSE(ParseDuration("9223372036854775808ns").ok());
  for (const char* text : {"1h0m0s", "1m30.5s", "1.5s", "20ms", "1.001\xC2\xB5s", "7ns", "-2s"}) {
    EXPECT_EQ(FormatDuration(*ParseDuration(text)), text);
  }
}

TEST(Units, SizesFollowDocker) {
  EXPECT_EQ(*ParseRamSize("32"), 32);
  EXPECT_EQ(*ParseRamSize("1.5KiB"), 1536);
  EXPECT_EQ(*ParseRamSize("2 mb"), 2 << 20);
  EXPECT_EQ(*ParseHumanSize("1gb"), 1000000000);
  EXPECT_EQ(ParseRamSize("lots").status().message(), "invalid size: 'lots'");
  EXPECT_EQ(ParseRamSize("1x").status().message(), "invalid suffix: 'x'");
  EXPECT_FALSE(ParseRamSize("-1k").ok());
}

TEST(Suggest, FindsTheNearestWord) {
  EXPECT_EQ(Suggest("form", {"chown", "from"}, true), "from");
  EXPECT_EQ(Suggest("COPPY", {"copy", "run"}, false), "COPY");
  EXPECT_EQ(Suggest("from", {"from", "form"}, true), "");
  EXPECT_EQ(Suggest("bridge", {"host", "none"}, true), "");
  EXPECT_EQ(WithSuggestion(UnknownError("bad"), "hots", {"host"}, true).message(),
            "bad (did you mean host?)");
}

}  // namespace
}  // namespace kiln
