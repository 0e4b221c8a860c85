// Sums under a lock.
#include "control/build_metrics.h"

namespace kiln::control {

void BuildMetrics::Record(const Status& outcome, const ProgressLog::Counts& steps,
                          double seconds) {
  std::lock_guard lock(mutex_);
  ++totals_.builds[outcome.code()];
  Duration& duration = totals_.durations[outcome.ok()];
  ++duration.count;
  duration.seconds += seconds;
  totals_.steps.total += steps.total;
  totals_.steps.cached += steps.cached;
  totals_.steps.completed += steps.completed;
  totals_.steps.warnings += steps.warnings;
}

BuildMetrics::Snapshot BuildMetrics::Get() const {
  std::lock_guard lock(mutex_);
  return totals_;
}

}  // namespace kiln::control
