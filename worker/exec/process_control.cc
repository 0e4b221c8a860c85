#include "worker/exec/process_control.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

namespace kiln::worker::exec {
void ProcessControl::Signal(int signal) {
  std::lock_guard lock(mutex_);
  if (stage_ == Stage::kWaiting) queued_.push_back(signal);
  if (stage_ == Stage::kRunning) send_(signal);
}

void ProcessControl::WaitStarted() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stage_ != Stage::kWaiting; });
}

void ProcessControl::Started(int pidfd) {
  Started([pidfd](int signal) {
    ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0);
  });
}

void ProcessControl::Started(std::function<void(int signal)> send) {
  std::lock_guard lock(mutex_);
  if (stage_ != Stage::kWaiting) return;
  stage_ = Stage::kRunning;
  send_ = std::move(send);
  for (int signal : queued_) send_(signal);
  queued_.clear();
  changed_.notify_all();
}

void ProcessControl::Ended() {
  std::lock_guard lock(mutex_);
  stage_ = Stage::kEnded;
  send_ = nullptr;
  changed_.notify_all();
}

}  // namespace kiln::worker::exec
