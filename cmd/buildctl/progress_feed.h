// ProgressFeed: takes progress messages from any thread to a display on its own.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "api/client/display/display.h"

namespace kiln::buildctl {

// Thread-safe.
class ProgressFeed {
 public:
  // Mode as in --progress; BUILDKIT_PROGRESS replaces "auto".
  static StatusOr<std::unique_ptr<ProgressFeed>> Start(std::string mode, int fd);
  ~ProgressFeed() { Finish(); }

  void Add(api::SolveStatus status);
  // A step of the client's own, begun and ended at once ("[auth] …").
  void AddStep(const std::string& name);
  // Shows what is left and the final view; returns when it is printed.
  void Finish();

 private:
  explicit ProgressFeed(std::unique_ptr<api::Display> display);
  void Run();

  std::unique_ptr<api::Display> display_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<api::SolveStatus> queue_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace kiln::buildctl
