// Kept content digests as any bytes; and the path, wildcard and patterns of a
// checksum as any text over a received tree.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "cache/contenthash/hash_tree.h"

namespace {

using kiln::cache::ChangeKind;
using kiln::cache::FileStat;
using kiln::cache::HashTree;

kiln::StatusOr<const kiln::RootedTree*> NoFiles() { return kiln::InternalError("no files"); }

void Add(HashTree& tree, const std::string& path, uint32_t mode, const std::string& link) {
  FileStat stat;
  stat.mode = mode;
  stat.linkname = link;
  tree.OnChange(ChangeKind::kAdd, path, stat, kiln::Digest::Of(path)).IgnoreError();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  std::string input(reinterpret_cast<const char*>(bytes), size);
  HashTree loaded;
  if (loaded.Load(input).ok()) {
    HashTree again;
    if (!again.Load(loaded.Save()).ok()) std::abort();
    loaded.Checksum(NoFiles, "/", {}).IgnoreError();
  }
  HashTree tree;
  Add(tree, "d", 1U << 31 | 0755, "");
  Add(tree, "d/f", 0644, "");
  Add(tree, "l", 1U << 27 | 0777, input.substr(0, size / 2));
  kiln::cache::ChecksumOptions options;
  options.follow_links = size % 2 == 0;
  tree.Checksum(NoFiles, "/l", options).IgnoreError();
  options.wildcard = true;
  tree.Checksum(NoFiles, input, options).IgnoreError();
  options.include = {input.substr(size / 3)};
  options.exclude = {input.substr(0, size / 3)};
  tree.Checksum(NoFiles, "/d", options).IgnoreError();
  return 0;
}
