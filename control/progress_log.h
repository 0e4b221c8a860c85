// ProgressLog: all progress events of one build, for any number of followers.
//
// Events stay for the build's whole life, so that a late follower sees the start.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <vector>

#include "solver/progress.h"

namespace kiln::control {

// Thread-safe.
class ProgressLog : public solver::ProgressSink {
 public:
  void Send(solver::ProgressEvent event) override;
  // No events come after this; followers end when they have read all.
  void Close();
  // Blocks until there are events beyond `*cursor`, appends them to `events` and
  // moves the cursor; false at the end, or when `stop` fires. Once there is one it waits
  // for `company` longer, or to the end, so that several travel together.
  bool Next(size_t* cursor, std::vector<solver::ProgressEvent>* events, std::stop_token stop,
            std::chrono::milliseconds company = {});

  // Everything so far.
  std::vector<solver::ProgressEvent> events();

  // Counted over vertices, as the history keeps them.
  struct Counts {
    int total = 0, cached = 0, completed = 0, warnings = 0;
  };
  Counts counts();

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_, ended_;
  std::vector<solver::ProgressEvent> events_;
  bool closed_ = false;
};

}  // namespace kiln::control
