// Controller: the builds that run, by id; who starts, follows and drives them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "control/build.h"
#include "control/build_metrics.h"
#include "control/history.h"
#include "worker/proxy/proxy_config.h"

namespace kiln::control {

// What the history is told when a build starts and ends. The body of a record is
// a wire message, so the caller makes it.
struct BuildOutcome {
  const BuildRequest& request;
  Time created;
  Time completed;  // unset at the start
  const Status* status = nullptr;         // null at the start, like what follows
  const BuildFacts* facts = nullptr;
  ProgressLog* progress = nullptr;
  cache::ContentStore* content = nullptr;  // for what is too large for a record
};
using RecordMaker = std::function<StatusOr<HistoryRecord>(const BuildOutcome&)>;

// Thread-safe. All builds must have ended before it goes.
class Controller {
 public:
  // `history` may be null.
  Controller(const Services& services, History* history, RecordMaker make_record);

  // Runs a build to its end on the caller's thread. "job X already exists".
  StatusOr<BuildResponse> Solve(BuildRequest request, std::stop_token stop);

  // The progress of a build; waits a few seconds for one that has not started.
  // NOT_FOUND "no such job X".
  StatusOr<std::shared_ptr<ProgressLog>> Progress(const std::string& id, std::stop_token stop);

  // The build that a client drives, for as long as the pointer lives. Waits as well.
  // NOT_FOUND "no such job X".
  StatusOr<std::shared_ptr<Build>> ClientDriven(const std::string& id, std::stop_token stop);

  // What those builds of `ids` that run think of the requests of a step that they share.
  worker::proxy::ProxyPolicy ProxyPolicyFor(const std::vector<std::string>& ids);

  History* history() { return history_; }
  const BuildMetrics& metrics() const { return metrics_; }
  size_t running();

 private:
  std::shared_ptr<Build> WaitFor(const std::string& id, std::chrono::seconds wait,
                                 std::stop_token stop,
                                 const std::function<bool(Build&)>& accept);
  void Record(Build& build, Time created, const Status* status);

  const Services& services_;
  History* history_;
  RecordMaker make_record_;
  BuildMetrics metrics_;
  RequestStore requests_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, std::shared_ptr<Build>> builds_;
  std::deque<std::pair<std::string, std::shared_ptr<ProgressLog>>> finished_;  // the last ones
};

}  // namespace kiln::control
