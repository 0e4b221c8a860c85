#include "worker/op/failed_steps.h"

#include "base/file.h"

namespace kiln::worker {
namespace {

// A build that fails on purpose again and again must not fill the disk.
constexpr size_t kMostEntries = 64;

std::vector<cache::Ref> CloneAll(const std::vector<cache::Ref>& refs) {
  std::vector<cache::Ref> out;
  for (const cache::Ref& ref : refs) out.push_back(ref.empty() ? cache::Ref() : ref.Clone());
  return out;
}

}  // namespace

std::string FailedSteps::Keep(FailedStep step, const std::vector<std::string>& builds) {
  std::string id = NewId();
  std::deque<Entry> gone;  // released outside the lock
  std::lock_guard lock(mutex_);
  entries_.push_back({id, std::move(step), {builds.begin(), builds.end()}});
  while (entries_.size() > kMostEntries) {
    gone.push_back(std::move(entries_.front()));
    entries_.pop_front();
  }
  return id;
}

FailedStep FailedSteps::Find(std::string_view id) {
  std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.id == id) return {CloneAll(entry.step.inputs), CloneAll(entry.step.mounts)};
  }
  return {};
}

void FailedSteps::EndBuild(const std::string& build) {
  std::deque<Entry> gone;
  std::lock_guard lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    entry->builds.erase(build);
    if (entry->builds.empty()) {
      gone.push_back(std::move(*entry));
      entry = entries_.erase(entry);
    } else {
      ++entry;
    }
  }
}

void KeepContentFailures(FailedSteps* steps, solver::CacheMap* map) {
  if (steps == nullptr) return;
  for (size_t i = 0; i < map->deps.size(); ++i) {
    solver::ContentDigestFn digest = map->deps[i].content_digest;
    if (!digest) continue;
    map->deps[i].content_digest = [digest, steps, i](const cache::Ref& input,
                                                     solver::JobContext& context) {
      StatusOr<Digest> result = digest(input, context);
      if (result.ok() || context.stop().stop_requested()) return result;
      Status status = std::move(result).status();
      FailedStep step;
      step.inputs.push_back(input.empty() ? cache::Ref() : input.Clone());
      status.AddDetail(kFailedStepUrl, steps->Keep(std::move(step), context.Builds()));
      status.AddDetail(kContentCacheUrl, std::to_string(i));
      return StatusOr<Digest>(std::move(status));
    };
  }
}

}  // namespace kiln::worker
