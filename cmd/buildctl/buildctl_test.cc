// Arguments, templates, tables and excerpts, against what the reference prints.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/proto/errdefs.pb.h"
#include "cmd/buildctl/build_flags.h"
#include "cmd/buildctl/command.h"
#include "cmd/buildctl/common.h"
#include "cmd/buildctl/go_template.h"
#include "cmd/buildctl/table.h"

namespace kiln::buildctl {
namespace {

std::string Rendered(std::string_view text, const nlohmann::ordered_json& value) {
  StatusOr<GoTemplate> output = GoTemplate::Parse(text);
  if (!output.ok()) return output.status().message();
  StatusOr<std::string> result = output->Render(value, "*client.UsageInfo");
  return result.ok() ? *result : result.status().message();
}

TEST(GoTemplateTest, FieldsRangesAndFunctionsWorkAsInGo) {
  nlohmann::ordered_json list = {{{"id", "a"}, {"size", 3}}, {{"id", "b"}, {"size", 0}}};
  EXPECT_EQ(Rendered("{{range .}}{{.ID}}={{.Size}};{{end}}", list), "a=3;b=0;");
  EXPECT_EQ(Rendered("{{range .}}{{if .Size}}{{.ID}}{{else}}-{{end}}{{end}}", list), "a-");
  EXPECT_EQ(Rendered("{{len .}} {{(index . 1).ID}}", list), "2 b");
  EXPECT_EQ(Rendered("json", list), R"([{"id":"a","size":3},{"id":"b","size":0}])");
}

TEST(GoTemplateTest, ErrorsReadAsInGo) {
  nlohmann::ordered_json list = {{{"id", "a"}}};
  EXPECT_EQ(Rendered("{{range .}}{{.Nosuch}}{{end}}", list),
            "template: :1:13: executing \"\" at <.Nosuch>: can't evaluate field Nosuch in type "
            "*client.UsageInfo");
  EXPECT_EQ(Rendered("{{json .", list), "template: :1: illegal number syntax: \".\"");
}

TEST(TableTest, ColumnsOfAdjoiningLinesLineUp) {
  Table table;
  table.Add("ID\tSIZE\tX\nabcdefghij\t1\ty\n");
  EXPECT_EQ(table.Flush(), "ID\t\tSIZE\tX\nabcdefghij\t1\ty\n");
  Table blanks(false);
  blanks.Add("BuildKit:\tv1\nDockerfile:\t1.2\n");
  EXPECT_EQ(blanks.Flush(), "BuildKit:   v1\nDockerfile: 1.2\n");
}

struct Ran {
  int status = -1;
  std::string error;
  std::string seen;
};

Ran RunWords(std::vector<const char*> words) {
  Ran ran;
  Command root{.name = "buildctl"};
  root.flags = {{"addr", Kind::kText, "", "unix:///x"}, {"timeout", Kind::kInt, "", "5"}};
  root.run = [](const Invocation&) { return OkStatus(); };
  Command sub{.name = "du", .alias = "d"};
  sub.flags = {{"filter", Kind::kList, "", {}, "f"}, {"all", Kind::kBool, ""}};
  sub.run = [&](const Invocation& call) {
    ran.seen = StrCat(call.Text("addr"), "|", StrJoin(call.List("filter"), ","), "|",
                      call.Bool("all") ? "all" : "", "|", StrJoin(call.args(), ","));
    return OkStatus();
  };
  root.commands = {sub};
  words.insert(words.begin(), "buildctl");
  ran.status = RunCommandLine(root, static_cast<int>(words.size()), words.data(),
                              [&](const Status& status) { ran.error = status.message(); });
  return ran;
}

TEST(CommandTest, FlagsMayStandAnywhereAndRepeat) {
  EXPECT_EQ(RunWords({"d", "-f", "a", "--filter=b,c", "--addr", "unix:///y", "arg", "--all"}).seen,
            "unix:///y|a,b,c|all|arg");
  EXPECT_EQ(RunWords({"-addr", "unix:///z", "du"}).seen, "unix:///z|||");
}

TEST(CommandTest, WrongArgumentsReadAsInTheReference) {
  EXPECT_EQ(RunWords({"nosuch"}).status, 3);
  EXPECT_EQ(RunWords({"du", "--nosuch"}).error, "flag provided but not defined: -nosuch");
  EXPECT_EQ(RunWords({"du", "--filter"}).error, "flag needs an argument: --filter");
  EXPECT_EQ(RunWords({"--timeout", "x", "du"}).error,
            "invalid value \"x\" for flag -timeout: strconv.ParseInt: parsing \"x\": invalid "
            "syntax");
}

TEST(BuildFlagsTest, OutputsAndCachesAreChecked) {
  EXPECT_EQ(ParseOutputs({"type=local"}).status().message(),
            "invalid output option: output: output directory is required for local exporter");
  EXPECT_EQ(ParseOutputs({"dest=x"}).status().message(), "--output requires type=<type>");
  EXPECT_EQ(ParseOutputs({"type=image,dest=x"}).status().message(),
            "invalid output option: output: output x is not supported by image exporter");
  EXPECT_EQ(ParseExportCaches({"type=local,dest=d"}).value()[0].attrs["mode"], "min");
  EXPECT_EQ(ParseImportCaches({"example.com/a"}).value()[0].attrs["ref"], "example.com/a");
}

TEST(SourceExcerptTest, LinesAroundTheRangeAreShown) {
  errdefs::Source source;
  source.mutable_info()->set_filename("Dockerfile");
  source.mutable_info()->set_data("FROM a\nRUN b\nRUN c\nRUN d");
  auto* range = source.add_ranges();
  range->mutable_start()->set_line(2);
  range->mutable_end()->set_line(2);
  Status status = UnknownError("x");
  status.AddDetail("github.com/moby/buildkit/errdefs.Source+json", source.SerializeAsString());
  EXPECT_EQ(SourceExcerpts(status),
            "Dockerfile:2\n--------------------\n   1 |     FROM a\n   2 | >>> RUN b\n"
            "   3 |     RUN c\n   4 |     RUN d\n--------------------\n");
}

}  // namespace
}  // namespace kiln::buildctl
