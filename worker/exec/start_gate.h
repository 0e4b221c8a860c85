// StartGate: at most so many containers that start at the same time.
//
// A container has started once the runtime has written its process id. That is looked for
// only while somebody waits for a place, and by one of those who wait.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <utility>

#include "base/status.h"

namespace kiln::worker::exec {

// Thread-safe. Places must be given back before it ends.
class StartGate {
 public:
  explicit StartGate(size_t limit) : limit_(limit) {}

  // A place among those that start. It is given back in the destructor, or before when the
  // container runs.
  class Place {
   public:
    Place(StartGate* gate, uint64_t id) : gate_(gate), id_(id) {}
    Place(Place&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)), id_(other.id_) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (gate_ != nullptr) gate_->Release(id_);
    }

   private:
    StartGate* gate_;
    uint64_t id_;
  };

  // Waits for a place. `pid_file` is what the runtime will write. CANCELLED when `stop`
  // fires first.
  StatusOr<Place> Acquire(std::string pid_file, std::stop_token stop);

 private:
  struct Start {
    std::string pid_file;
    std::chrono::steady_clock::time_point began;
  };
  void Release(uint64_t id);
  bool HasRoom() const { return starting_.size() < limit_; }
  void DropStarted();

  const size_t limit_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<uint64_t, Start> starting_;  // guarded by mutex_, as is what follows
  uint64_t next_ = 0;
  bool watched_ = false;  // one of the waiting looks for those that have started
};

}  // namespace kiln::worker::exec
