// Below the limit of overlayfs (500 folders) one mount stands for hundreds of folders.
#include "cache/snapshot/deep_stack.h"

#include <algorithm>
#include <span>
#include <utility>

namespace kiln::cache {
namespace {

constexpr size_t kMaxFolders = 480;

}  // namespace

Status LowerStack(const SnapshotStore& store, const std::string& temp_dir,
                  std::vector<std::string>* stack, std::shared_ptr<void>* lease) {
  if (!store.layered() || stack->size() <= kMaxFolders) return OkStatus();
  std::vector<std::string> low;
  // From the bottom, one mount for each full part: they must not lie on one another, the
  // kernel stacks overlays two deep only.
  auto mounts = std::make_shared<std::pair<std::shared_ptr<void>, std::vector<LocalMount>>>();
  mounts->first = *lease;
  std::span<const std::string> rest(*stack);
  while (low.size() + rest.size() > kMaxFolders) {
    std::span<const std::string> part = rest.first(std::min(kMaxFolders, rest.size()));
    ASSIGN_OR_RETURN(LocalMount mounted,
                     LocalMount::Open({store.View(part), nullptr}, temp_dir));
    low.push_back(mounted.path());
    mounts->second.push_back(std::move(mounted));
    rest = rest.subspan(part.size());
  }
  low.insert(low.end(), rest.begin(), rest.end());
  *stack = std::move(low);
  *lease = std::move(mounts);
  return OkStatus();
}

}  // namespace kiln::cache
