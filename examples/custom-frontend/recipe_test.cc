// Unit tests of recipes: what they mean as steps, and where their mistakes are.
#include "examples/custom-frontend/recipe.h"

#include <gtest/gtest.h>

#include "api/proto/errdefs.pb.h"
#include "llb/proto/ops.pb.h"
#include "llb/source.h"

namespace recipe {
namespace {

kiln::StatusOr<Dish> Make(const std::string& text, std::vector<std::string>* warnings = nullptr) {
  SourceText source{"Recipe", text};
  ASSIGN_OR_RETURN(auto statements, Parse(source));
  Kitchen kitchen;
  kitchen.find_base = [](const std::string& name) -> kiln::StatusOr<Dish> {
    if (name == "nowhere") return kiln::NotFoundError("no such base");
    return Dish{kiln::llb::Image(name), {}};
  };
  kitchen.go_on = [](const std::string& file, const Dish& so_far) -> kiln::StatusOr<Dish> {
    Dish dish = so_far;
    dish.image.config.env.push_back("THEN=" + file);
    return dish;
  };
  kitchen.warn = [warnings](int line, const std::string& what) {
    if (warnings != nullptr) warnings->push_back(kiln::StrCat(line, " ", what));
  };
  return Follow(source, statements, kiln::llb::Local("context"), kitchen);
}

TEST(Recipe, EachStatementIsAStepInItsOrder) {
  auto dish = Make("# a comment\nfrom example.com/base:1\nadd in /out\n\nrun echo  hi\ncmd ls /\n");
  ASSERT_TRUE(dish.ok()) << dish.status();
  auto definition = dish->state.Marshal();
  ASSERT_TRUE(definition.ok()) << definition.status();
  std::vector<std::string> seen;
  for (const std::string& bytes : (*definition)->def()) {
    pb::Op op;
    ASSERT_TRUE(op.ParseFromString(bytes));
    if (op.has_source()) seen.push_back(op.source().identifier());
    if (op.has_file()) seen.push_back(op.file().actions(0).copy().src());
    if (op.has_exec()) seen.push_back(op.exec().meta().args(2));
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"docker-image://example.com/base:1",
                                            "local://context", "/in", "echo  hi"}));
  EXPECT_EQ(dish->image.config.cmd, (std::vector<std::string>{"/bin/sh", "-c", "ls /"}));
}

TEST(Recipe, OnlyWhatIsAddedIsAskedOfTheClient) {
  auto statements = Parse({"Recipe", "from scratch\nadd a /x\nenv add=b\nadd c/d  /y"});
  ASSERT_TRUE(statements.ok());
  EXPECT_EQ(PathsOf(*statements), (std::vector<std::string>{"a", "c/d"}));
}

TEST(Recipe, AnotherRecipeGoesOnWithWhatIsThere) {
  auto dish = Make("from a\nenv A=1\nthen Icing\nenv B=2");
  ASSERT_TRUE(dish.ok()) << dish.status();
  EXPECT_EQ(dish->image.config.env, (std::vector<std::string>{"A=1", "THEN=Icing", "B=2"}));
}

TEST(Recipe, AnEarlierCmdIsWarnedAbout) {
  std::vector<std::string> warnings;
  auto dish = Make("from a\ncmd x\n\ncmd y", &warnings);
  ASSERT_TRUE(dish.ok()) << dish.status();
  EXPECT_EQ(warnings, (std::vector<std::string>{"4 only the last cmd counts"}));
  EXPECT_EQ(dish->image.config.cmd.back(), "y");
}

TEST(Recipe, AMistakePointsAtItsLine) {
  const struct {
    const char* text;
    int line;
    const char* error;
  } cases[] = {
      {"", 1, "recipe error on line 1: the recipe is empty"},
      {"\nbake it", 2, "recipe error on line 2: unknown word bake"},
      {"run x", 1, "recipe error on line 1: a recipe has one from, in front of everything else"},
      {"from a\nrun", 2, "recipe error on line 2: run needs something after it"},
      {"from a\n\nadd x", 3, "recipe error on line 3: add needs a source and a destination"},
      {"from a\nenv x", 2, "recipe error on line 2: env needs NAME=VALUE"},
      {"# b\nfrom nowhere", 2, "recipe error on line 2: no such base"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    auto dish = Make(c.text);
    ASSERT_FALSE(dish.ok());
    EXPECT_EQ(dish.status().message(), c.error);
    const auto* detail =
        dish.status().FindDetail("github.com/moby/buildkit/errdefs.Source+json");
    ASSERT_NE(detail, nullptr);
    errdefs::Source source;
    ASSERT_TRUE(source.ParseFromString(detail->bytes));
    EXPECT_EQ(source.ranges(0).start().line(), c.line);
    EXPECT_EQ(source.info().filename(), "Recipe");
  }
}

}  // namespace
}  // namespace recipe
