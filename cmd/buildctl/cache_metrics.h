// CacheMetrics: counts of cached and other steps of a build, for --debug-json-cache-metrics.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "api/client/display/solve_status.h"

namespace kiln::buildctl {

// Not thread-safe. The clock starts with the object.
class CacheMetrics {
 public:
  void Add(const api::SolveStatus& status);
  // A line per step that ran, and the counts as JSON.
  std::string Report() const;

 private:
  struct Step {
    std::string name;
    bool cached = false;
    bool completed = false;
    bool from = false;
  };
  std::map<std::string, Step> steps_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace kiln::buildctl
