// LoadDefinition: from wire bytes to a validated graph of vertices.
//
// Everything is iterative: a client may send a chain of a million ops, and
// neither building nor dropping it may depend on the depth of the stack.
#include "llb/graph.h"

#include <unordered_map>
#include <utility>

#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "llb/validate_op.h"
#include "llb/vertex_name.h"
#include "llb/wire_fault.h"

namespace kiln::llb {
namespace {

constexpr std::string_view kProxyMark("\0buildkit.proxy-network.v0", 26);

struct Entry {
  enum class State { kNew, kOpen, kDone };
  std::shared_ptr<pb::Op> op;
  int place = 0;      // in the definition
  bool proxy = false;
  State state = State::kNew;
  std::shared_ptr<Vertex> vertex;
};

class Loader {
 public:
  Loader(const pb::Definition& definition, const LoadOptions& options)
      : definition_(definition), options_(options) {}

  StatusOr<Edge> Load() {
    if (definition_.def_size() == 0) return Edge();
    RETURN_IF_ERROR(Decode());
    RETURN_IF_ERROR(CheckInputs());
    if (entries_.size() < 2) {
      return InvalidArgumentError(StrCat("invalid LLB with ", entries_.size(), " vertexes"));
    }
    const pb::Op& last = *entries_.at(last_).op;
    if (last.inputs_size() == 0) {
      return InvalidArgumentError("invalid LLB with no inputs on last vertex");
    }
    const pb::Input& head = last.inputs(0);
    RETURN_IF_ERROR(Build(head.digest()));
    return Edge{entries_.at(head.digest()).vertex, head.index()};
  }

 private:
  Status Decode() {
    if (static_cast<size_t>(definition_.def_size()) > options_.max_ops) {
      return InvalidArgumentError(StrCat("invalid LLB with ", definition_.def_size(),
                                         " vertexes: at most ", options_.max_ops, " are allowed"));
    }
    for (int i = 0; i < definition_.def_size(); ++i) {
      const std::string& bytes = definition_.def(i);
      if (bytes.size() > options_.max_op_bytes) {
        return InvalidArgumentError(StrCat("failed to parse llb proto op: op ", i, " has ",
                                           bytes.size(), " bytes, at most ",
                                           options_.max_op_bytes, " are allowed"));
      }
      auto op = std::make_shared<pb::Op>();
      if (!op->ParseFromString(bytes)) {
        Status fault = CheckWire(bytes);
        return InvalidArgumentError(
            StrCat("failed to parse llb proto op: ",
                   fault.ok() ? StrCat("op ", i, " is malformed") : fault.message()));
      }
      for (int n = 0; n < op->inputs_size(); ++n) {
        if (op->inputs(n).index() < 0) {
          return InvalidArgumentError(
              StrCat("invalid input ", n, " output index ", op->inputs(n).index()));
        }
      }
      last_ = Digest::Of(bytes).text();
      Entry& entry = entries_[last_];
      entry.place = i;
      if (options_.proxy_network) {
        ASSIGN_OR_RETURN(entry.proxy, GoesThroughProxy(*op));
      }
      entry.op = std::move(op);
    }
    return OkStatus();
  }

  static StatusOr<bool> GoesThroughProxy(const pb::Op& op) {
    if (!op.has_exec() || op.exec().network() == pb::NetMode::NONE) return false;
    const int mode = op.exec().network();
    if (mode == pb::NetMode::UNSET || mode == pb::NetMode::HOST) return true;
    return InvalidArgumentError(
        StrCat("network mode ", mode, " is not allowed when proxy network is enabled"));
  }

  // Of an op of its own, and whatever stands on one, as the reference takes it.
  Digest ProxyDigest(const Entry& entry, const Vertex& vertex) const {
    const std::string& declared = definition_.def(entry.place);
    bool moved = false;
    pb::Op op;
    op.ParseFromString(declared);
    for (int i = 0; i < op.inputs_size(); ++i) {
      const Digest& input = vertex.inputs[static_cast<size_t>(i)].vertex->digest;
      moved = moved || op.inputs(i).digest() != input.text();
      op.mutable_inputs(i)->set_digest(input.text());
    }
    if (!moved && !entry.proxy) return vertex.declared;
    std::string bytes = moved ? MarshalDeterministic(op) : declared;
    if (entry.proxy) bytes += kProxyMark;
    return Digest::Of(bytes);
  }

  // Of all ops, also of those that nothing leads to.
  Status CheckInputs() const {
    for (const auto& [digest, entry] : entries_) {
      for (const pb::Input& input : entry.op->inputs()) {
        if (!entries_.contains(input.digest())) {
          return InvalidArgumentError(StrCat("invalid missing input digest ", input.digest()));
        }
      }
    }
    return OkStatus();
  }

  // What the reference rejects keeps its words; our own checks name the op.
  static Status Named(Status status, const std::string& digest) {
    bool known = status.ok() || status.message().starts_with("invalid ");
    return known ? status : Annotate(status, StrCat("vertex ", digest));
  }

  // Depth first, inputs before users, with a stack of our own.
  Status Build(const std::string& head) {
    std::vector<std::string> stack = {head};
    while (!stack.empty()) {
      const std::string digest = stack.back();
      auto found = entries_.find(digest);
      if (found == entries_.end()) {
        return InvalidArgumentError(StrCat("invalid missing input digest ", digest));
      }
      Entry& entry = found->second;
      if (entry.state == Entry::State::kDone) {
        stack.pop_back();
        continue;
      }
      if (entry.state == Entry::State::kOpen) {
        RETURN_IF_ERROR(Finish(digest, entry));
        stack.pop_back();
        continue;
      }
      RETURN_IF_ERROR(Named(ValidateOp(*entry.op), digest));
      if (options_.adjust) RETURN_IF_ERROR(options_.adjust(entry.op.get()));
      entry.state = Entry::State::kOpen;
      for (int i = entry.op->inputs_size(); i-- > 0;) {
        const std::string& input = entry.op->inputs(i).digest();
        auto next = entries_.find(input);
        if (next != entries_.end() && next->second.state == Entry::State::kDone) continue;
        stack.push_back(input);
      }
    }
    return OkStatus();
  }

  Status Finish(const std::string& digest, Entry& entry) {
    auto vertex = std::make_shared<Vertex>();
    vertex->declared = Digest::Trusted(digest);
    vertex->proxy_network = entry.proxy;
    vertex->op = entry.op;
    auto metadata = definition_.metadata().find(digest);
    vertex->metadata = metadata == definition_.metadata().end()
                           ? std::make_shared<const pb::OpMetadata>()
                           : std::make_shared<const pb::OpMetadata>(metadata->second);
    vertex->inputs.reserve(static_cast<size_t>(entry.op->inputs_size()));
    for (const pb::Input& input : entry.op->inputs()) {
      const Entry& source = entries_.at(input.digest());
      // Only a collision of the hash can lead here.
      if (source.vertex == nullptr) {
        return InvalidArgumentError(StrCat("vertex ", digest, " is an input of itself"));
      }
      vertex->inputs.push_back(Edge{source.vertex, input.index()});
    }
    vertex->digest = options_.proxy_network ? ProxyDigest(entry, *vertex) : vertex->declared;
    vertex->name = VertexName(*vertex);
    entry.vertex = std::move(vertex);
    entry.state = Entry::State::kDone;
    return OkStatus();
  }

  const pb::Definition& definition_;
  const LoadOptions& options_;
  std::unordered_map<std::string, Entry> entries_;
  std::string last_;
};

}  // namespace

Vertex::~Vertex() {
  std::vector<Edge> pending = std::move(inputs);
  while (!pending.empty()) {
    std::shared_ptr<const Vertex> vertex = std::move(pending.back().vertex);
    pending.pop_back();
    if (vertex == nullptr || vertex.use_count() != 1) continue;
    // The last owner may take the inputs away: nobody else can look at them.
    for (Edge& edge : const_cast<Vertex&>(*vertex).inputs) pending.push_back(std::move(edge));
    const_cast<Vertex&>(*vertex).inputs.clear();
  }
}

StatusOr<Edge> LoadDefinition(const pb::Definition& definition, const LoadOptions& options) {
  return Loader(definition, options).Load();
}

}  // namespace kiln::llb
