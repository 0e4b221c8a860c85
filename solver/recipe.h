// Recipes: how keys came about and what became of a build's steps, in the form that
// is kept beside the keys (proto/recipe.proto). Read by explain.h.
#pragma once

#include <string>
#include <string_view>

namespace kiln::solver {

// What of a step's name stays the same in the next build: the text without its number
// ("[build 2/5] RUN make" → "build RUN make"), and the place with the kind of the step
// ("build 2 RUN").
struct StepNames {
  std::string step;
  std::string slot;
};
StepNames NamesOf(std::string_view name);

}  // namespace kiln::solver
