// See history_finisher.h.
#include "control/history_finisher.h"

#include <algorithm>

namespace kiln::control {

HistoryFinisher::~HistoryFinisher() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void HistoryFinisher::Add(std::string ref, std::function<void()> work) {
  std::lock_guard lock(mutex_);
  entries_.push_back({std::move(ref), std::move(work), std::chrono::steady_clock::now() + delay_});
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  changed_.notify_all();
}

void HistoryFinisher::Finish(std::string_view ref) {
  std::unique_lock lock(mutex_);
  auto mine = [&](const Entry& entry) { return entry.ref == ref; };
  for (Entry& entry : entries_) {
    if (mine(entry)) entry.due = {};
  }
  changed_.notify_all();
  changed_.wait(lock, [&] { return std::none_of(entries_.begin(), entries_.end(), mine); });
}

void HistoryFinisher::Run() {
  std::unique_lock lock(mutex_);
  while (!ending_ || !entries_.empty()) {
    if (entries_.empty()) {
      changed_.wait(lock);
      continue;
    }
    auto next = std::min_element(entries_.begin(), entries_.end(),
                                 [](const Entry& a, const Entry& b) { return a.due < b.due; });
    if (!ending_ && next->due > std::chrono::steady_clock::now()) {
      // A copy: the entry may be made due meanwhile.
      auto due = next->due;
      changed_.wait_until(lock, due);
      continue;
    }
    lock.unlock();
    next->work();  // stays in the list, for those who wait for it
    lock.lock();
    entries_.erase(next);
    changed_.notify_all();
  }
}

}  // namespace kiln::control
