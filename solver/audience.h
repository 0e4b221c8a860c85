// Audience: the builds that have a vertex, and what they hear of it.
//
// Keeps what was said, so that a build that joins a running vertex hears it too.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "solver/build_state.h"
#include "solver/progress.h"

namespace kiln::solver {

// Thread-safe. Events reach every build in the order of Send.
class Audience : public ProgressSink {
 public:
  // `initial` is the vertex before anything happened: name, inputs, group.
  explicit Audience(VertexEvent initial)
      : vertex_(std::move(initial)), progress_(vertex_.digest, *this) {}

  // Adds a build and replays to it. False if it is there already.
  bool Add(const BuildStatePtr& build);
  // Adds a build that hears of this vertex in place of an equal one of its own.
  void AddListener(const BuildStatePtr& build);
  void Remove(const BuildState* build);
  bool empty() const;
  bool Has(const BuildState* build) const;
  // No other build has the vertex.
  bool IsOnlyOf(const BuildState* build) const;
  std::vector<BuildStatePtr> builds() const;

  void Send(ProgressEvent event) override;
  VertexProgress& progress() { return progress_; }
  const Digest& vertex() const { return progress_.vertex(); }

  // The vertex starts, now; `cached` if it is only being loaded.
  void Started(bool cached);
  // It ends, now. OK, or the text that is shown. Nothing if it never started.
  void Completed(const Status& status, bool cached);

 private:
  void Tell(const ProgressEvent& event);
  void Replay(BuildState& build);
  void Keep(ProgressEvent event);

  mutable std::mutex mutex_;
  VertexEvent vertex_;
  VertexProgress progress_;
  std::vector<BuildStatePtr> builds_;     // have the vertex
  std::vector<BuildStatePtr> listeners_;  // only hear of it
  std::map<std::string, StatusEvent> statuses_;  // the last of each id
  std::vector<WarningEvent> warnings_;
  std::deque<LogEvent> logs_;
  size_t log_bytes_ = 0;
};

}  // namespace kiln::solver
