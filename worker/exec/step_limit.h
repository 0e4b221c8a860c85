// StepLimit: at most so many steps at once (max-parallelism).
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>
#include <utility>

#include "base/status.h"

namespace kiln::worker {

// Thread-safe. Zero means no limit.
class StepLimit {
 public:
  explicit StepLimit(size_t limit) : limit_(limit) {}

  // A place among the running; given back in the destructor.
  class Place {
   public:
    explicit Place(StepLimit* limit) : limit_(limit) {}
    Place(Place&& other) noexcept : limit_(std::exchange(other.limit_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (limit_ != nullptr) limit_->Release();
    }

   private:
    StepLimit* limit_;
  };

  // Waits for a place. CANCELLED when `stop` fires first.
  StatusOr<Place> Acquire(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    if (!free_.wait(lock, stop, [this] { return limit_ == 0 || running_ < limit_; })) {
      return CancelledError("context canceled");
    }
    ++running_;
    return Place(this);
  }

 private:
  void Release() {
    std::lock_guard lock(mutex_);
    --running_;
    free_.notify_one();
  }

  const size_t limit_;
  std::mutex mutex_;
  std::condition_variable_any free_;
  size_t running_ = 0;
};

}  // namespace kiln::worker
