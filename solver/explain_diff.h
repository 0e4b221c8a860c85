// The differences of two recipes: fields of their ops, and their inputs.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "solver/explain.h"

namespace kiln::solver {

namespace record {
class Recipe;
}

// Fields of a serialised pb.Op by path; environment by name, mounts by place, inputs
// left out. What identifies a session or a place in the definition is left out too.
std::map<std::string, std::string> OpFields(std::string_view op);

// `op` without its inputs: equal ones have equal fields.
std::string WithoutInputs(const std::string& op);

// The first difference between the fields of two ops, the weightiest first: the source,
// the command, files written, the environment, the rest. nullopt: they are equal.
std::optional<MissCause> FirstFieldChange(const std::map<std::string, std::string>& before,
                                          const std::map<std::string, std::string>& after);

// How many inputs of two recipes are known by a common key or content.
size_t CommonInputs(const record::Recipe& a, const record::Recipe& b);
// The first input that is not; -1 if all are. With `told` only those of which more is
// known than another id: ids are new when a pruned key is made again.
int FirstOtherInput(const record::Recipe& before, const record::Recipe& now, bool told);

}  // namespace kiln::solver
