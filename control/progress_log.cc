// An append-only list with readers at their own cursors.
#include "control/progress_log.h"

#include <iterator>
#include <map>

namespace kiln::control {

void ProgressLog::Send(solver::ProgressEvent event) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  events_.push_back(std::move(event));
  changed_.notify_all();
}

void ProgressLog::Close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
  ended_.notify_all();
}

bool ProgressLog::Next(size_t* cursor, std::vector<solver::ProgressEvent>* events,
                       std::stop_token stop, std::chrono::milliseconds company) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait(lock, stop, [&] { return closed_ || events_.size() > *cursor; })) return false;
  if (company.count() > 0) ended_.wait_for(lock, stop, company, [&] { return closed_; });
  if (events_.size() == *cursor) return false;
  auto from = events_.begin() + static_cast<std::ptrdiff_t>(*cursor);
  std::copy(from, events_.end(), std::back_inserter(*events));
  *cursor = events_.size();
  return true;
}

std::vector<solver::ProgressEvent> ProgressLog::events() {
  std::lock_guard lock(mutex_);
  return events_;
}

ProgressLog::Counts ProgressLog::counts() {
  std::lock_guard lock(mutex_);
  Counts counts;
  std::map<Digest, const solver::VertexEvent*> last;
  for (const auto& event : events_) {
    if (auto* vertex = std::get_if<solver::VertexEvent>(&event)) last[vertex->digest] = vertex;
    if (std::holds_alternative<solver::WarningEvent>(event)) ++counts.warnings;
  }
  for (const auto& [digest, vertex] : last) {
    ++counts.total;
    if (vertex->cached) ++counts.cached;
    if (vertex->completed.set()) ++counts.completed;
  }
  return counts;
}

}  // namespace kiln::control
