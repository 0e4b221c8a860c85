// Any bytes as the table of contents of an eStargz layer: what is taken is a tree whose
// parts lie where they say.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "oci/estargz_tree.h"

namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  constexpr uint64_t kTocOffset = 1 << 20;
  std::string_view input(reinterpret_cast<const char*>(bytes), size);
  auto tree = kiln::oci::EstargzTree::Parse(input, kTocOffset);
  if (!tree.ok()) return 0;
  for (const auto& node : tree->nodes()) {
    uint64_t end = 0;
    Check(node.first_chunk + uint64_t{node.chunk_count} <= tree->chunks().size());
    for (uint32_t i = 0; i < node.chunk_count; ++i) {
      const auto& chunk = tree->chunks()[node.first_chunk + i];
      Check(chunk.file_offset == end && chunk.size > 0);
      end += chunk.size;
      const auto& stream = tree->streams().at(chunk.stream);
      Check(stream.offset < stream.end && stream.end <= kTocOffset);
    }
    Check(node.chunk_count == 0 || end == node.size);
    for (const auto& [name, child] : node.children) {
      Check(child != 0 && child < tree->nodes().size() && !name.empty() && name != "..");
    }
  }
  return 0;
}
