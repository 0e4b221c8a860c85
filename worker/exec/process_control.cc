#include "worker/exec/process_control.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace kiln::worker::exec {
namespace {

void Send(int pidfd, int signal) { ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0); }

}  // namespace

void ProcessControl::Signal(int signal) {
  std::lock_guard lock(mutex_);
  if (stage_ == Stage::kWaiting) queued_.push_back(signal);
  if (stage_ == Stage::kRunning) Send(pidfd_, signal);
}

void ProcessControl::WaitStarted() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stage_ != Stage::kWaiting; });
}

void ProcessControl::Started(int pidfd) {
  std::lock_guard lock(mutex_);
  if (stage_ != Stage::kWaiting) return;
  stage_ = Stage::kRunning;
  pidfd_ = pidfd;
  for (int signal : queued_) Send(pidfd_, signal);
  queued_.clear();
  changed_.notify_all();
}

void ProcessControl::Ended() {
  std::lock_guard lock(mutex_);
  stage_ = Stage::kEnded;
  pidfd_ = -1;
  changed_.notify_all();
}

}  // namespace kiln::worker::exec
