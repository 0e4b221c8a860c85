// Vertex, Edge: a decoded and validated LLB graph.
//
// A vertex is known by the digest of its marshalled pb::Op. The op itself stays
// the generated message (docs/dev/decisions/0001): digests are over its exact
// bytes, and every reader wants exactly its fields. Nothing here runs anything;
// the solver's view of an op is solver/op.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/status.h"

namespace pb {
class Definition;
class Op;
class OpMetadata;
}  // namespace pb

namespace kiln::llb {

struct Vertex;

// One output of a vertex. Immutable and shared; safe on every thread.
struct Edge {
  std::shared_ptr<const Vertex> vertex;
  int64_t index = 0;
};

struct Vertex {
  Vertex() = default;
  Vertex(const Vertex&) = delete;
  Vertex& operator=(const Vertex&) = delete;
  ~Vertex();  // releases long chains of inputs without recursion

  Digest digest;
  std::shared_ptr<const pb::Op> op;              // never null
  std::shared_ptr<const pb::OpMetadata> metadata;  // never null, may be empty
  std::vector<Edge> inputs;                      // as many as op->inputs()
  // In the definition; not `digest` where steps go through a proxy, or stand on such.
  Digest declared;
  bool proxy_network = false;  // a step that reaches the network through a proxy only
  std::string name;  // what progress shows: description "llb.customname" or derived from the op
};

struct LoadOptions {
  size_t max_ops = 1'000'000;
  size_t max_op_bytes = 16 << 20;
  // Called with each op that the result needs, users before their inputs, after its digest
  // was taken. May change the op; an error ends the load.
  std::function<Status(pb::Op*)> adjust = {};
  // Steps with a network of some kind go through a proxy, and are other vertices for it.
  bool proxy_network = false;
};

// Decodes `definition` and returns the edge that its terminal op points to; an
// empty definition gives an edge without a vertex (scratch). INVALID_ARGUMENT
// names the op at fault: bytes that do not parse, inputs that do not exist,
// cycles, bad indexes, missing required fields.
StatusOr<Edge> LoadDefinition(const pb::Definition& definition, const LoadOptions& options = {});

// Deterministic protobuf bytes (map entries sorted by key): what digests are made of.
std::string MarshalDeterministic(const pb::Op& op);
std::string MarshalDeterministic(const pb::Definition& definition);

}  // namespace kiln::llb
