#include "solver/testing/random_world.h"

#include <utility>

#include "base/strings.h"

namespace kiln::solver::testing {
namespace {

// Few different contents, so that different trees are often equal.
std::string ContentOf(const std::string& result) {
  return StrCat("c", std::hash<std::string>()(result) % 3);
}

}  // namespace

RandomWorld::RandomWorld(uint64_t seed, WorldOptions options) : random(seed) {
  ops.SetContentFunction(ContentOf);
  size_t size = 2 + Pick(options.most_vertices - 2);
  for (size_t i = 0; i < size; ++i) AddVertex(i, options);
}

void RandomWorld::AddVertex(size_t number, const WorldOptions& options) {
  Recipe recipe;
  recipe.name = StrCat("v", number);
  recipe.key = options.distinct_keys ? recipe.name : StrCat("k", Pick(6));
  if (recipe.key == "k5" && Pick(2) == 0) recipe.key = "bad";  // equal keys fail alike
  bool failed = recipe.key == "bad";
  std::string made_of;
  size_t inputs = number == 0 ? 0 : Pick(4);
  for (size_t i = 0; i < inputs; ++i) {
    // Near ones mostly, so that graphs are deep as well as wide.
    size_t input = Pick(2) == 0 ? number - 1 - Pick(std::min<size_t>(number, 3)) : Pick(number);
    recipe.inputs.push_back({vertices[input], 0});
    bool by_content = Pick(2) == 0;
    if (by_content) recipe.content_inputs.insert(i);
    failed = failed || expected[input].empty();
    made_of += StrCat("(", by_content ? ContentOf(expected[input]) : expected[input], ")");
  }
  // What an op does with an input belongs to its key.
  for (size_t i : recipe.content_inputs) recipe.key += StrCat(".", i);
  recipe.key += StrCat("/", inputs);
  std::string result = recipe.key + made_of;
  if (recipe.key.starts_with("bad")) recipe.exec_error = UnknownError("it fails");
  if (inputs == 0) recipe.extra_maps = std::hash<std::string>()(recipe.key) % 2;
  recipe.ignore_cache = options.ignore_cache && Pick(4) == 0;
  if (recipe.ignore_cache) uncached.insert(result);
  recipe.on_exec = [this](JobContext&) {
    if (during_job) during_job();
    return OkStatus();
  };
  // A map that is only computed gives nothing else the time to happen meanwhile.
  recipe.quick_map = inputs > 0 && Pick(2) == 0;
  if (!recipe.quick_map) recipe.on_map = recipe.on_exec;
  vertices.push_back(ops.Add(std::move(recipe)));
  expected.push_back(failed ? "" : result);
}

}  // namespace kiln::solver::testing
