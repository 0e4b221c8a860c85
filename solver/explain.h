// Explain: why the steps of a build ran, by comparison with what was kept of earlier
// keys (cache/index/recipe_log.h). Reads only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"

namespace kiln::cache {
class RecipeLog;
}

namespace kiln::solver {

// The first cause of a miss.
struct MissCause {
  // no-cache, first, pruned, lost, source, command, env, file, option, parent, base,
  // definition, cache-source
  std::string kind;
  std::string text;  // one line for people
  std::string path;  // of a file
  std::string step;  // of a parent
};

struct ExplainedStep {
  std::string digest;
  std::string name;
  std::string outcome;  // hit, known, miss, shared, not needed
  std::string key;      // of a hit
  std::string source;   // of a hit: an imported cache; "" is the local one
  MissCause cause;      // of a miss
};

struct Explanation {
  std::string build;
  std::vector<ExplainedStep> steps;  // inputs first
};

// Of the build whose id is or starts with `build`, or of the last one. NOT_FOUND.
StatusOr<Explanation> Explain(const cache::RecipeLog& recipes, std::string_view build);

// The same of one step while its build runs: serialised Step, and Steps with failed
// sources. "" if there is nothing to say.
std::string ExplainStep(const cache::RecipeLog& recipes, const std::string& step,
                        const std::string& failed, Time before);

}  // namespace kiln::solver
