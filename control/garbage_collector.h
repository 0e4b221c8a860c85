// GarbageCollector: prunes the cache by the worker's rules, after builds.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "cache/ref_store.h"

namespace kiln::control {

// Thread-safe. Runs on a thread of its own; at most once a minute.
class GarbageCollector {
 public:
  // Without rules it does nothing. `refs` must outlive it.
  GarbageCollector(cache::RefStore& refs, std::vector<cache::PruneOptions> rules);
  ~GarbageCollector();

  // Asks for a run soon; returns at once.
  void Trigger();

 private:
  void Loop(std::stop_token stop);
  void Collect();

  cache::RefStore& refs_;
  std::vector<cache::PruneOptions> rules_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  bool wanted_ = false;
  std::jthread thread_;
};

}  // namespace kiln::control
