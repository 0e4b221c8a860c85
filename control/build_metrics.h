// BuildMetrics: counts of finished builds and their steps, for a monitoring system.
//
// Numbers only; cmd/buildkitd writes them out.
#pragma once

#include <map>
#include <mutex>

#include "base/status.h"
#include "control/progress_log.h"

namespace kiln::control {

// Thread-safe.
class BuildMetrics {
 public:
  struct Duration {
    uint64_t count = 0;
    double seconds = 0;
  };
  struct Snapshot {
    std::map<StatusCode, uint64_t> builds;  // by outcome
    std::map<bool, Duration> durations;     // true: successful ones
    ProgressLog::Counts steps;
  };

  void Record(const Status& outcome, const ProgressLog::Counts& steps, double seconds);
  Snapshot Get() const;

 private:
  mutable std::mutex mutex_;
  Snapshot totals_;
};

}  // namespace kiln::control
