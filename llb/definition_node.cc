// FromDefinition: ops that were marshalled elsewhere, as nodes that give back
// exactly those bytes.
#include <unordered_map>

#include "base/strings.h"
#include "llb/graph.h"
#include "llb/node.h"

namespace kiln::llb {
namespace {

// What all nodes of one definition share.
struct Decoded {
  std::unordered_map<std::string, std::string> bytes;
  std::unordered_map<std::string, pb::OpMetadata> metadata;
  std::unordered_map<std::string, std::vector<SourceLocation>> locations;
};

class DefinitionNode : public Node {
 public:
  DefinitionNode(std::shared_ptr<const Decoded> decoded, std::string digest, int64_t index)
      : decoded_(std::move(decoded)), digest_(std::move(digest)), index_(index) {}
  ~DefinitionNode() override { ReleaseOutputs(std::move(inputs_)); }

  void AddInput(Output input) { inputs_.push_back(std::move(input)); }
  std::vector<Output> Inputs() const override { return inputs_; }
  StatusOr<int64_t> IndexOf(int) const override { return index_; }
  void ReleaseInputs(std::vector<Output>* released) override {
    for (Output& input : inputs_) released->push_back(std::move(input));
    inputs_.clear();
  }

  StatusOr<MarshalledNode> Marshal(const Marshaller&) const override {
    MarshalledNode out;
    out.bytes = decoded_->bytes.at(digest_);
    auto metadata = decoded_->metadata.find(digest_);
    if (metadata == decoded_->metadata.end()) {
      return UnknownError(
          StrCat("invalid definition op with unknown metas ", Quote(digest_)));
    }
    out.metadata = metadata->second;
    auto locations = decoded_->locations.find(digest_);
    if (locations != decoded_->locations.end()) out.locations = locations->second;
    return out;
  }

 private:
  std::shared_ptr<const Decoded> decoded_;
  std::string digest_;
  int64_t index_;
  std::vector<Output> inputs_;
};

Status DecodeSources(const pb::Source& source, Decoded* decoded) {
  std::vector<std::shared_ptr<const SourceMap>> maps;
  for (const pb::SourceInfo& info : source.infos()) {
    auto map = std::make_shared<SourceMap>();
    map->filename = info.filename();
    map->language = info.language();
    map->data = info.data();
    if (info.has_definition()) {
      map->definition = std::make_shared<const pb::Definition>(info.definition());
    }
    maps.push_back(std::move(map));
  }
  for (const auto& [digest, places] : source.locations()) {
    for (const pb::Location& place : places.locations()) {
      const int index = place.sourceindex();
      if (index < 0 || static_cast<size_t>(index) >= maps.size()) {
        return InvalidArgumentError(StrCat("failed to find source map with index ", index));
      }
      SourceLocation location{maps[static_cast<size_t>(index)], {}};
      for (const pb::Range& range : place.ranges()) {
        location.ranges.push_back({range.start().line(), range.start().character(),
                                   range.end().line(), range.end().character()});
      }
      decoded->locations[digest].push_back(std::move(location));
    }
  }
  return OkStatus();
}

// Nodes for each output that somebody uses, made inputs first.
class NodeMaker {
 public:
  NodeMaker(std::shared_ptr<const Decoded> decoded) : decoded_(std::move(decoded)) {}

  Output Make(const Edge& head) {
    std::vector<std::pair<const Edge*, bool>> stack = {{&head, false}};
    while (!stack.empty()) {
      auto [edge, open] = stack.back();
      stack.pop_back();
      if (nodes_.contains(Key(*edge))) continue;
      if (open) {
        Finish(*edge);
        continue;
      }
      stack.push_back({edge, true});
      for (const Edge& input : edge->vertex->inputs) stack.push_back({&input, false});
    }
    return {nodes_.at(Key(head))};
  }

 private:
  static std::string Key(const Edge& edge) {
    return StrCat(edge.vertex->digest.text(), " ", edge.index);
  }
  void Finish(const Edge& edge) {
    auto node = std::make_shared<DefinitionNode>(decoded_, edge.vertex->digest.text(), edge.index);
    for (const Edge& input : edge.vertex->inputs) node->AddInput({nodes_.at(Key(input))});
    nodes_.emplace(Key(edge), std::move(node));
  }

  std::shared_ptr<const Decoded> decoded_;
  std::unordered_map<std::string, std::shared_ptr<DefinitionNode>> nodes_;
};

}  // namespace

StatusOr<State> FromDefinition(const pb::Definition& definition) {
  ASSIGN_OR_RETURN(const Edge head, LoadDefinition(definition));
  if (head.vertex == nullptr) return State();
  auto decoded = std::make_shared<Decoded>();
  for (const std::string& bytes : definition.def()) {
    decoded->bytes.emplace(Digest::Of(bytes).text(), bytes);
  }
  for (const auto& [digest, metadata] : definition.metadata()) {
    decoded->metadata.emplace(digest, metadata);
  }
  RETURN_IF_ERROR(DecodeSources(definition.source(), decoded.get()));
  return State(NodeMaker(std::move(decoded)).Make(head));
}

}  // namespace kiln::llb
