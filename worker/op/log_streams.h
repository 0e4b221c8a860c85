// LogStreams: a step's output on its way to progress, within limits.
//
// BUILDKIT_STEP_LOG_MAX_SIZE and _MAX_SPEED bound each stream; what is cut off at
// the end is kept in a ring, for a step that fails.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "solver/progress.h"

namespace kiln::worker {

struct LogLimits {
  int64_t max_size = 2 << 20;     // bytes; -1: none
  int64_t max_speed = 200 << 10;  // bytes per second; -1: none
  static LogLimits FromEnvironment();
};

// Used by one thread.
class LogStreams {
 public:
  using Clock = std::chrono::steady_clock;
  LogStreams(solver::VertexProgress& progress, LogLimits limits,
             Clock::time_point now = Clock::now());
  void Write(int stream, std::string_view bytes, Clock::time_point now = Clock::now());
  // The last 256 KiB of streams that were cut.
  void Flush();

 private:
  struct Stream {
    int64_t size = 0;
    bool clipping = false;
    bool was_clipped = false;
    std::string tail;
  };
  int64_t Allowed(Stream& stream, int64_t count, Clock::time_point now, bool* by_speed) const;

  solver::VertexProgress& progress_;
  LogLimits limits_;
  Clock::time_point created_;
  Stream streams_[2];
};

// "2MiB", "200KiB", "1000B".
std::string BinarySize(int64_t bytes);

}  // namespace kiln::worker
