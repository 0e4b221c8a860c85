// See reply_room.h.
#include "control/reply_room.h"

#include <algorithm>

namespace kiln::control {

StatusOr<std::shared_ptr<ReplyRoom::Share>> ReplyRoom::Take(size_t bytes, std::stop_token stop) {
  std::unique_lock lock(state_->mutex);
  bytes = std::min(bytes, state_->bytes);
  auto place = state_->waiting.insert(state_->waiting.end(), 0);
  bool served = state_->changed.wait(lock, stop, [&] {
    return place == state_->waiting.begin() && state_->free >= bytes;
  });
  state_->waiting.erase(place);
  state_->changed.notify_all();  // the next one may fit as well
  if (!served) return CancelledError("context canceled");
  state_->free -= bytes;
  return std::make_shared<Share>(state_, bytes);
}

void ReplyRoom::Share::Keep(size_t bytes) {
  std::lock_guard lock(state_->mutex);
  if (bytes >= bytes_) return;
  state_->free += bytes_ - bytes;
  bytes_ = bytes;
  state_->changed.notify_all();
}

}  // namespace kiln::control
