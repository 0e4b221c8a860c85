// Any bytes as a Definition: it loads or it fails, and it never takes the process down.
#include <cstddef>
#include <cstdint>

#include "llb/graph.h"
#include "llb/proto/ops.pb.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pb::Definition definition;
  if (!definition.ParseFromArray(data, static_cast<int>(size))) return 0;
  auto edge = kiln::llb::LoadDefinition(definition);
  if (edge.ok()) kiln::llb::MarshalDeterministic(definition);
  return 0;
}
