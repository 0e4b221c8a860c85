// State itself, and the small nodes: stand-ins, merge and diff.
#include "llb/state.h"

#include <mutex>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"
#include "llb/graph.h"
#include "llb/node.h"

namespace kiln::llb {
namespace {

class DeferredNode : public Node {
 public:
  explicit DeferredNode(std::function<Output()> resolve) : resolve_(std::move(resolve)) {}
  std::vector<Output> Inputs() const override { return {}; }
  StatusOr<MarshalledNode> Marshal(const Marshaller&) const override {
    return InternalError("a deferred state cannot be marshalled");
  }
  std::optional<Output> Target() const override {
    std::call_once(once_, [this] { target_ = resolve_(); });
    return target_;
  }
  void ReleaseInputs(std::vector<Output>* released) override {
    released->push_back(std::move(target_));
  }

 private:
  std::function<Output()> resolve_;
  mutable std::once_flag once_;
  mutable Output target_;
};

// Merge and diff: all work is said by the inputs.
class LayerNode : public Node {
 public:
  LayerNode(std::vector<Output> inputs, bool merge, Constraints constraints)
      : inputs_(std::move(inputs)), merge_(merge), constraints_(std::move(constraints)) {}
  ~LayerNode() override { ReleaseOutputs(std::move(inputs_)); }

  std::vector<Output> Inputs() const override {
    std::vector<Output> present;
    for (const Output& input : inputs_) {
      if (input.node != nullptr) present.push_back(input);
    }
    return present;
  }

  StatusOr<MarshalledNode> Marshal(const Marshaller& marshaller) const override {
    MarshalledNode out;
    pb::Op op = marshaller.NewOp(constraints_, &out.metadata);
    op.clear_platform();
    std::vector<int64_t> indexes;
    for (const Output& input : inputs_) {
      if (input.node == nullptr) {
        indexes.push_back(-1);
        continue;
      }
      indexes.push_back(op.inputs_size());
      ASSIGN_OR_RETURN(*op.add_inputs(), marshaller.ToInput(input));
    }
    if (merge_) {
      for (int64_t index : indexes) op.mutable_merge()->add_inputs()->set_input(index);
    } else {
      op.mutable_diff()->mutable_lower()->set_input(indexes[0]);
      op.mutable_diff()->mutable_upper()->set_input(indexes[1]);
    }
    out.bytes = MarshalDeterministic(op);
    out.locations = constraints_.locations;
    return out;
  }
  void ReleaseInputs(std::vector<Output>* released) override {
    for (Output& input : inputs_) released->push_back(std::move(input));
    inputs_.clear();
  }

 private:
  std::vector<Output> inputs_;
  bool merge_;
  Constraints constraints_;
};

const std::shared_ptr<ExecMeta>& EmptyMeta() {
  static const std::shared_ptr<ExecMeta> meta = std::make_shared<ExecMeta>();
  return meta;
}

std::string TextOf(const nlohmann::json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

State::State() : meta_(EmptyMeta()) {}

State::State(Output output) : State() {
  *this = WithOutput(std::move(output));
}

ExecMeta& State::mutable_meta() {
  // The shared empty one always has a second owner.
  if (meta_.use_count() != 1) meta_ = std::make_shared<ExecMeta>(*meta_);
  return *meta_;
}

void State::SetEnv(std::string_view key, std::string value) {
  mutable_meta().env.Set(key, std::move(value));
}

void State::SetDir(std::string_view dir) {
  ExecMeta& meta = mutable_meta();
  if (!dir.empty() && dir[0] == '/') {
    meta.dir = dir;
    return;
  }
  meta.dir = CleanPath(StrCat(meta.dir.empty() ? "/" : meta.dir, "/", dir));
}

void State::SetPlatform(const Platform& platform) {
  mutable_meta().platform = NormalizePlatform(platform);
}

State State::WithOutput(Output output) const {
  State state = *this;
  state.output_ = std::move(output);
  if (state.output_.node != nullptr) {
    if (std::optional<Platform> platform = state.output_.node->OutputPlatform()) {
      state.SetPlatform(*platform);
    }
  }
  return state;
}

StatusOr<State> State::WithImageConfig(std::string_view config) const {
  const nlohmann::json image = nlohmann::json::parse(config, nullptr, false);
  if (!image.is_object()) return InvalidArgumentError("invalid image config");
  State state = *this;
  const nlohmann::json inner = image.value("config", nlohmann::json::object());
  if (inner.is_object()) {
    for (const auto& text : inner.value("Env", nlohmann::json::array())) {
      if (!text.is_string()) continue;
      std::string_view key, value;
      const std::string pair = text.get<std::string>();
      StrCut(pair, "=", &key, &value);
      if (!key.empty()) state.SetEnv(key, std::string(value));
    }
    state.SetDir(TextOf(inner, "WorkingDir"));
  }
  Platform platform{TextOf(image, "os"), TextOf(image, "architecture"), TextOf(image, "variant"),
                    TextOf(image, "os.version"), {}};
  for (const auto& feature : image.value("os.features", nlohmann::json::array())) {
    if (feature.is_string()) platform.os_features.push_back(feature.get<std::string>());
  }
  if (!platform.os.empty() && !platform.architecture.empty()) state.SetPlatform(platform);
  return state;
}

StatusOr<DefinitionPtr> State::Marshal(const MarshalOptions& options) const {
  if (ResolveOutput(output_).node == nullptr) return std::make_shared<const pb::Definition>();
  Marshaller marshaller(options);
  RETURN_IF_ERROR(marshaller.Add(output_));
  ASSIGN_OR_RETURN(pb::Definition definition, marshaller.Finish(output_));
  return std::make_shared<const pb::Definition>(std::move(definition));
}

State Merge(const std::vector<State>& inputs, Constraints constraints) {
  std::vector<Output> outputs;
  const State* first = nullptr;
  for (const State& input : inputs) {
    if (input.scratch()) continue;
    if (first == nullptr) first = &input;
    outputs.push_back(input.output());
  }
  if (first == nullptr) return State();
  if (outputs.size() == 1) return *first;
  constraints.Need(kCapMergeOp);
  return first->WithOutput(
      {std::make_shared<LayerNode>(std::move(outputs), true, std::move(constraints))});
}

State Diff(const State& lower, const State& upper, Constraints constraints) {
  if (lower.scratch()) return upper;
  constraints.Need(kCapDiffOp);
  std::vector<Output> outputs = {lower.output(), upper.output()};
  return lower.WithOutput(
      {std::make_shared<LayerNode>(std::move(outputs), false, std::move(constraints))});
}

State Deferred(std::function<Output()> resolve) {
  return State(Output{std::make_shared<DeferredNode>(std::move(resolve))});
}

std::string HeadOf(const pb::Definition& definition) {
  pb::Op last;
  if (definition.def_size() == 0 ||
      !last.ParseFromString(definition.def(definition.def_size() - 1)) ||
      last.inputs_size() == 0) {
    return "";
  }
  return last.inputs(0).digest();
}

}  // namespace kiln::llb
