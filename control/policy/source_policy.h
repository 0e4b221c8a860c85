// SourcePolicy: rules that allow, deny or replace the sources of a build.
//
// The rules come with the request (buildctl --source-policy-file) or from a frontend.
// What a client decides source by source is asked elsewhere.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace pb {
class Definition;
class Op;
class SourceOp;
}  // namespace pb

namespace kiln::control {

// Immutable; thread-safe.
class SourcePolicy {
 public:
  // Serialised policies, in order. "invalid nil selector in policy".
  static StatusOr<SourcePolicy> Parse(const std::vector<std::string>& policies);

  bool empty() const { return policies_.empty(); }
  // Changes `source` as rules say, again and again until none does; true if it was
  // changed. `source "x" denied by policy: source denied by policy`.
  StatusOr<bool> Evaluate(pb::SourceOp* source) const;

 private:
  struct Rule;
  using Rules = std::vector<Rule>;
  static StatusOr<bool> EvaluateRules(const Rules& rules, pb::SourceOp* source);

  std::shared_ptr<const std::vector<Rules>> owned_;
  std::vector<const Rules*> policies_;
};

// Gives a git source its one name: "git://host/path#ref:subdir", without odd paths. Names of
// other kinds stay, like those that do not parse.
void NormalizeIdentifier(pb::SourceOp* source);

// The definition with each source replaced by what `change` made of it; the same object
// if none was. With `at_once` several sources are changed at a time, each on a thread. Digests of what stands on a changed source change with it.
using ChangeSource = std::function<Status(pb::Op* op)>;
StatusOr<std::shared_ptr<const pb::Definition>> ChangeSources(
    const std::shared_ptr<const pb::Definition>& definition, const ChangeSource& change,
    bool at_once = false);

}  // namespace kiln::control
