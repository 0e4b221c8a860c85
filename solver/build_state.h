// BuildState: what jobs may see of a build: its session, its sink, its memo.
//
// The graph side of a build (which vertices, which requests) is the loop's own.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/digest.h"
#include "base/status.h"
#include "solver/progress.h"
#include "solver/scheduler.h"

namespace kiln::solver {

// Thread-safe.
class BuildState {
 public:
  explicit BuildState(BuildOptions options) : options_(std::move(options)) {}

  const std::string& id() const { return options_.id; }
  const std::string& session() const { return options_.session; }
  bool explain() const { return options_.explain; }
  Time started() const { return started_; }
  int compatibility_version() const { return options_.compatibility_version; }

  // Passes an event to the build's sink. A vertex that starts proves its inputs:
  // those that did not run are shown as cached.
  void Send(const ProgressEvent& event);
  // Ends vertices that were left open, as the reference does when a build goes.
  void CloseProgress();

  // The value of `key`, computed once even by several callers at a time. A failure
  // is not kept.
  StatusOr<std::string> Memo(std::string_view key,
                             const std::function<StatusOr<std::string>()>& compute);
  // Keeps `object` until the build ends.
  void Hold(std::shared_ptr<void> object) {
    std::lock_guard lock(memo_mutex_);
    held_.push_back(std::move(object));
  }

 private:
  void SendVertex(VertexEvent event);
  void MarkCached(const Digest& vertex);
  void Emit(ProgressEvent event) {
    if (options_.progress != nullptr) options_.progress->Send(std::move(event));
  }

  const BuildOptions options_;
  const Time started_ = Now();

  std::mutex progress_mutex_;
  std::unordered_map<Digest, VertexEvent> vertices_;
  std::unordered_set<Digest> was_cached_;

  struct MemoEntry {
    bool busy = false;
    std::string value;
    bool has_value = false;
  };
  std::mutex memo_mutex_;
  std::condition_variable memo_changed_;
  std::map<std::string, MemoEntry, std::less<>> memo_;
  std::vector<std::shared_ptr<void>> held_;
};
using BuildStatePtr = std::shared_ptr<BuildState>;

}  // namespace kiln::solver
