// ProcessControl: signals for a process of a container, and when it has started.
//
// The signals go to the runtime's own process, which passes them on, or to the runtime.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

namespace kiln::worker::exec {

// Thread-safe. For one process.
class ProcessControl {
 public:
  // Sent when the process has started, if that is yet to come; dropped after its end.
  void Signal(int signal);
  // Blocks until the process has started or ended.
  void WaitStarted();

  // For the executor. `pidfd` stays valid until Ended.
  void Started(int pidfd);
  // The same where signals are not simply sent. `send` must not come back here.
  void Started(std::function<void(int signal)> send);
  void Ended();

 private:
  enum class Stage { kWaiting, kRunning, kEnded };
  std::mutex mutex_;
  std::condition_variable changed_;
  Stage stage_ = Stage::kWaiting;
  std::function<void(int)> send_;
  std::vector<int> queued_;
};

}  // namespace kiln::worker::exec
