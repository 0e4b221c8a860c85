// ReplyRoom: how much of the memory answers to one driver of a build may take at a time.
//
// A driver may ask for many files at once and take the answers slowly, or not at all.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <stop_token>

#include "base/status.h"

namespace kiln::control {

// Thread-safe. Those who wait are served in the order in which they came.
class ReplyRoom {
 public:
  explicit ReplyRoom(size_t bytes) : state_(std::make_shared<State>()) {
    state_->bytes = state_->free = bytes;
  }

  // A part of the room, given back with the object; outlives the room if need be.
  class Share;
  // Blocks until `bytes` are free (all of the room, if it is more than that); CANCELLED when
  // `stop` fires first.
  StatusOr<std::shared_ptr<Share>> Take(size_t bytes, std::stop_token stop);

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::list<int> waiting;  // one for each caller of Take that waits
    size_t bytes = 0;
    size_t free = 0;
  };
  std::shared_ptr<State> state_;
};

class ReplyRoom::Share {
 public:
  Share(std::shared_ptr<State> state, size_t bytes) : state_(std::move(state)), bytes_(bytes) {}
  ~Share() { Keep(0); }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;
  // Gives back what is more than `bytes`. Called by one thread at a time.
  void Keep(size_t bytes);

 private:
  std::shared_ptr<State> state_;
  size_t bytes_;
};

}  // namespace kiln::control
