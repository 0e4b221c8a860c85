// A loop that sleeps until it is wanted; see garbage_collector.h.
#include "control/garbage_collector.h"

#include <malloc.h>

#include "base/log.h"
#include "base/strings.h"

namespace kiln::control {
namespace {

// Builds often come in a row; the last one's leftovers are enough.
constexpr std::chrono::seconds kDelay{1};
constexpr std::chrono::seconds kInterval{60};

}  // namespace

GarbageCollector::GarbageCollector(cache::RefStore& refs, std::vector<cache::PruneOptions> rules)
    : refs_(refs), rules_(std::move(rules)), wanted_(true) {
  // What an earlier run left over the limits goes soon after the start.
  if (!rules_.empty()) thread_ = std::jthread([this](std::stop_token stop) { Loop(stop); });
}

GarbageCollector::~GarbageCollector() = default;

void GarbageCollector::Trigger() {
  std::lock_guard lock(mutex_);
  wanted_ = true;
  wake_.notify_all();
}

void GarbageCollector::Loop(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (wake_.wait(lock, stop, [&] { return wanted_; })) {
    wake_.wait_for(lock, stop, kDelay, [] { return false; });
    wanted_ = false;
    if (stop.stop_requested()) return;
    lock.unlock();
    Collect();
    lock.lock();
    wake_.wait_for(lock, stop, kInterval, [] { return false; });
  }
}

void GarbageCollector::Collect() {
  int64_t freed = 0;
  for (const cache::PruneOptions& rule : rules_) {
    Status pruned = refs_.Prune(
        rule, [&](const cache::UsageRecord& record) { freed += record.size; });
    if (!pruned.ok()) log::Error("gc error", {{"error", pruned.message()}});
  }
  if (freed > 0) log::Debug(StrCat("gc cleaned up ", freed, " bytes"));
  // What a large build had goes back to the system; the allocator would keep it.
  ::malloc_trim(0);
}

}  // namespace kiln::control
