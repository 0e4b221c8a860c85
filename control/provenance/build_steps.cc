// Depth first from the last op; see build_steps.h.
#include "control/provenance/build_steps.h"

#include <vector>

#include "base/digest.h"
#include "base/go_json.h"
#include "base/strings.h"
#include "llb/op_json.h"
#include "llb/proto/ops.pb.h"

namespace kiln::control {
namespace {

using Ops = std::map<std::string, pb::Op>;

StatusOr<std::vector<std::string>> Order(const Ops& ops, const std::string& last) {
  struct Frame {
    std::string digest;
    int next = 0;
  };
  std::vector<std::string> order;
  std::map<std::string, bool> seen = {{last, true}};
  std::vector<Frame> open = {{last}};
  while (!open.empty()) {
    Frame& frame = open.back();
    const pb::Op& op = ops.at(frame.digest);
    if (frame.next == op.inputs_size()) {
      order.push_back(frame.digest);
      open.pop_back();
      continue;
    }
    const std::string& input = op.inputs(frame.next++).digest();
    if (!ops.contains(input)) return UnknownError(StrCat("failed to find input ", input));
    if (seen.try_emplace(input, true).second) open.push_back({input});
  }
  return order;
}

std::string StepJson(const pb::Op& op, int index, const std::map<std::string, int>& indexes,
                     const std::string* usage) {
  std::vector<std::string> inputs;
  for (const pb::Input& input : op.inputs()) {
    inputs.push_back(StrCat("step", indexes.at(input.digest()), ":", input.index()));
  }
  pb::Op bare = op;
  bare.clear_inputs();
  GoJsonObject step;
  step.String("id", StrCat("step", index));
  step.Raw("op", llb::OpJson(bare));
  step.OmitArray("inputs", inputs);
  if (usage != nullptr) step.Raw("resourceUsage", *usage);
  return step.Finish();
}

}  // namespace

std::string BuildSteps::DigestMapping() const {
  GoJsonObject mapping;
  for (const auto& [digest, step] : index) mapping.String(digest, StrCat("step", step));
  return mapping.Finish();
}

StatusOr<BuildSteps> MakeBuildSteps(const pb::Definition& definition,
                                    const std::map<std::string, std::string>& usage) {
  BuildSteps steps;
  if (definition.def_size() == 0) return steps;
  Ops ops;
  std::string last;
  for (const std::string& bytes : definition.def()) {
    pb::Op op;
    if (!op.ParseFromString(bytes)) return UnknownError("failed to parse llb proto op");
    if (op.has_source()) {
      // Different in each build, and without meaning after it.
      op.mutable_source()->mutable_attrs()->erase("local.session");
      op.mutable_source()->mutable_attrs()->erase("local.unique");
    }
    last = Digest::Of(bytes).text();
    ops[last] = std::move(op);
  }
  const pb::Op& end = ops.at(last);
  if (end.op_case() != pb::Op::OP_NOT_SET) return UnknownError("invalid last vertex");
  if (end.inputs_size() != 1) {
    return UnknownError(StrCat("invalid last vertex inputs: ", end.inputs_size()));
  }
  ASSIGN_OR_RETURN(std::vector<std::string> order, Order(ops, last));
  for (const std::string& digest : order) {
    steps.index.emplace(digest, static_cast<int>(steps.index.size()));
  }
  for (const std::string& digest : order) {
    steps.json += steps.json.empty() ? "[" : ",";
    auto used = usage.find(digest);
    steps.json += StepJson(ops.at(digest), steps.index.at(digest), steps.index,
                           used == usage.end() ? nullptr : &used->second);
  }
  steps.json += "]";
  return steps;
}

}  // namespace kiln::control
