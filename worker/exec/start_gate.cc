#include "worker/exec/start_gate.h"

#include "base/file.h"

namespace kiln::worker::exec {
namespace {

constexpr std::chrono::milliseconds kLook{5};
// A runtime that does not say that the container runs is given so much time.
constexpr std::chrono::seconds kLongStart{2};

}  // namespace

StatusOr<StartGate::Place> StartGate::Acquire(std::string pid_file, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!HasRoom() && !stop.stop_requested()) {
    if (watched_) {
      changed_.wait(lock, stop, [this] { return HasRoom() || !watched_; });
      continue;
    }
    watched_ = true;
    changed_.wait_for(lock, stop, kLook, [this] { return HasRoom(); });
    DropStarted();
    watched_ = false;
  }
  // Whoever leaves wakes the next: there may be more room, or nobody left who looks.
  changed_.notify_one();
  if (!HasRoom()) return CancelledError("context canceled");
  starting_.emplace(++next_, Start{std::move(pid_file), std::chrono::steady_clock::now()});
  return Place(this, next_);
}

void StartGate::DropStarted() {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(starting_, [&](const auto& entry) {
    return now - entry.second.began > kLongStart || PathExists(entry.second.pid_file);
  });
}

void StartGate::Release(uint64_t id) {
  std::lock_guard lock(mutex_);
  if (starting_.erase(id) != 0) changed_.notify_one();
}

}  // namespace kiln::worker::exec
