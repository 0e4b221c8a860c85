#include "cache/content/blob_holds.h"

namespace kiln::cache {

std::shared_ptr<void> BlobHolds::Hold() {
  std::lock_guard lock(state_->mutex);
  uint64_t start = ++state_->clock;
  state_->holds.insert(start);
  return std::shared_ptr<void>(state_.get(), [state = state_, start](void*) {
    std::lock_guard inner(state->mutex);
    state->holds.erase(state->holds.find(start));
    if (state->holds.empty()) state->touched.clear();
  });
}

void BlobHolds::Touch(const Digest& digest) {
  std::lock_guard lock(state_->mutex);
  if (!state_->holds.empty()) state_->touched[digest] = ++state_->clock;
}

void BlobHolds::UnlessHeld(const Digest& digest, const std::function<void()>& remove) {
  std::lock_guard lock(state_->mutex);
  if (!state_->holds.empty()) {
    auto it = state_->touched.find(digest);
    if (it != state_->touched.end() && it->second > *state_->holds.begin()) return;
  }
  remove();
}

}  // namespace kiln::cache
