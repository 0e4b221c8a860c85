// Node, Marshaller: the inside of the builder. Only llb/*.cc include this.
//
// A node knows its inputs and how to write its op; the marshaller walks the nodes
// depth first, each once, and collects bytes, metadata and source locations.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/digest.h"
#include "llb/proto/ops.pb.h"
#include "llb/state.h"

namespace kiln::llb {

struct MarshalledNode {
  std::string bytes;
  pb::OpMetadata metadata;
  std::vector<SourceLocation> locations;
};

class Marshaller;

// Immutable once it has users; safe on every thread.
class Node {
 public:
  virtual ~Node() = default;
  virtual std::vector<Output> Inputs() const = 0;
  virtual StatusOr<MarshalledNode> Marshal(const Marshaller& marshaller) const = 0;
  virtual StatusOr<int64_t> IndexOf(int slot) const { return slot; }
  virtual std::optional<Platform> OutputPlatform() const { return std::nullopt; }
  // For nodes that only stand for another one.
  virtual std::optional<Output> Target() const { return std::nullopt; }
  // Gives up the inputs; called by the last owner only, so that long chains go without recursion.
  virtual void ReleaseInputs(std::vector<Output>* released) = 0;
};

// Drops outputs, and what only they own, iteratively.
void ReleaseOutputs(std::vector<Output> outputs);

class Marshaller {
 public:
  explicit Marshaller(const MarshalOptions& options);
  const MarshalOptions& options() const { return options_; }

  // Adds the node and all below it. Not thread-safe.
  Status Add(const Output& output);
  // For inputs that were added already.
  StatusOr<pb::Input> ToInput(const Output& output) const;
  // Op with platform and constraints, and its metadata, from the defaults and `own`.
  pb::Op NewOp(const Constraints& own, pb::OpMetadata* metadata) const;
  // Appends the last op and takes the definition out.
  StatusOr<pb::Definition> Finish(const Output& output);

 private:
  Status AddNode(const Node* node);
  void AddLocations(const std::string& digest, const std::vector<SourceLocation>& locations);
  void WriteSources();

  MarshalOptions options_;
  pb::Definition definition_;
  std::unordered_map<const Node*, std::string> digests_;
  std::unordered_set<std::string> written_;
  std::vector<std::shared_ptr<const SourceMap>> maps_;
  std::unordered_map<const SourceMap*, int> map_index_;
};

// The node behind stand-ins.
Output ResolveOutput(Output output);
bool SameInput(const pb::Input& a, const pb::Input& b);
// Index of `input` in `op`, added if it is new.
int64_t AddInput(const pb::Input& input, pb::Op* op);

}  // namespace kiln::llb
