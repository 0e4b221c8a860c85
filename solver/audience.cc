#include "solver/audience.h"

#include <algorithm>
#include <utility>

namespace kiln::solver {
namespace {

// Output kept per vertex for builds that join late.
constexpr size_t kMaxLogBytes = 1 << 20;

bool Holds(const std::vector<BuildStatePtr>& builds, const BuildState* build) {
  return std::any_of(builds.begin(), builds.end(),
                     [&](const BuildStatePtr& member) { return member.get() == build; });
}

}  // namespace

void Audience::Replay(BuildState& build) {
  build.Send(vertex_);
  for (const auto& [id, status] : statuses_) build.Send(status);
  for (const LogEvent& log : logs_) build.Send(log);
  for (const WarningEvent& warning : warnings_) build.Send(warning);
}

bool Audience::Add(const BuildStatePtr& build) {
  std::lock_guard lock(mutex_);
  if (Holds(builds_, build.get())) return false;
  if (!Holds(listeners_, build.get())) Replay(*build);
  builds_.push_back(build);
  return true;
}

void Audience::AddListener(const BuildStatePtr& build) {
  std::lock_guard lock(mutex_);
  if (Holds(builds_, build.get()) || Holds(listeners_, build.get())) return;
  Replay(*build);
  listeners_.push_back(build);
}

void Audience::Remove(const BuildState* build) {
  std::lock_guard lock(mutex_);
  auto same = [&](const BuildStatePtr& member) { return member.get() == build; };
  std::erase_if(builds_, same);
  std::erase_if(listeners_, same);
}

bool Audience::empty() const {
  std::lock_guard lock(mutex_);
  return builds_.empty();
}

bool Audience::Has(const BuildState* build) const {
  std::lock_guard lock(mutex_);
  return Holds(builds_, build);
}

bool Audience::IsOnlyOf(const BuildState* build) const {
  std::lock_guard lock(mutex_);
  return builds_.size() == 1 && builds_.front().get() == build;
}

std::vector<BuildStatePtr> Audience::builds() const {
  std::lock_guard lock(mutex_);
  std::vector<BuildStatePtr> all = builds_;
  for (const BuildStatePtr& listener : listeners_) {
    if (!Holds(all, listener.get())) all.push_back(listener);
  }
  return all;
}

void Audience::Tell(const ProgressEvent& event) {
  for (const BuildStatePtr& build : builds_) build->Send(event);
  for (const BuildStatePtr& listener : listeners_) {
    if (!Holds(builds_, listener.get())) listener->Send(event);
  }
}

void Audience::Send(ProgressEvent event) {
  std::lock_guard lock(mutex_);
  Tell(event);
  Keep(std::move(event));
}

void Audience::Keep(ProgressEvent event) {
  if (auto* status = std::get_if<StatusEvent>(&event)) {
    statuses_[status->id] = std::move(*status);
  } else if (auto* warning = std::get_if<WarningEvent>(&event)) {
    warnings_.push_back(std::move(*warning));
  } else if (auto* log = std::get_if<LogEvent>(&event)) {
    log_bytes_ += log->bytes.size();
    logs_.push_back(std::move(*log));
    while (log_bytes_ > kMaxLogBytes) {
      log_bytes_ -= logs_.front().bytes.size();
      logs_.pop_front();
    }
  }
}

void Audience::Started(bool cached) {
  std::lock_guard lock(mutex_);
  vertex_.started = Now();
  vertex_.completed = Time{};
  vertex_.cached = cached;
  vertex_.error.clear();
  Tell(vertex_);
}

void Audience::Completed(const Status& status, bool cached) {
  std::lock_guard lock(mutex_);
  if (!vertex_.started.set()) return;
  vertex_.completed = Now();
  vertex_.cached = cached;
  vertex_.error = status.message();
  Tell(vertex_);
}

}  // namespace kiln::solver
