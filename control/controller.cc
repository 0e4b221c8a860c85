// A map of builds with waiting; the history beside it.
#include "control/controller.h"

#include "base/log.h"
#include "base/strings.h"
#include "control/proxy_policy.h"

namespace kiln::control {
namespace {

// Status may come before Solve, LLBBridge calls too.
constexpr std::chrono::seconds kProgressWait{6};
constexpr std::chrono::seconds kClientWait{3};
// A client may ask for the progress of a short build when it is over.
constexpr size_t kFinished = 32;

}  // namespace

Controller::Controller(const Services& services, History* history, RecordMaker make_record)
    : services_(services), history_(history), make_record_(std::move(make_record)) {}

StatusOr<BuildResponse> Controller::Solve(BuildRequest request, std::stop_token stop) {
  auto build = std::make_shared<Build>(services_, &requests_, std::move(request));
  const std::string& id = build->request().id;
  {
    std::lock_guard lock(mutex_);
    if (!builds_.try_emplace(id, build).second) {
      return UnknownError(StrCat("job ID ", id, " exists"));
    }
    build->Enter();
    changed_.notify_all();
  }
  Time created = Now();
  Record(*build, created, nullptr);
  // Blobs of the result stay until the record names them.
  std::shared_ptr<void> hold = services_.refs->content().Hold();
  StatusOr<BuildResponse> response = build->Run(stop);
  build->progress().Close();
  Status status = response.status();
  Record(*build, created, &status);
  if (services_.after_build) services_.after_build();
  std::lock_guard lock(mutex_);
  finished_.emplace_back(id, build->shared_progress());
  if (finished_.size() > kFinished) finished_.pop_front();
  builds_.erase(id);
  changed_.notify_all();
  return response;
}

void Controller::Record(Build& build, Time created, const Status* status) {
  if (status != nullptr && !build.request().internal) {
    metrics_.Record(*status, build.progress().counts(),
                    static_cast<double>(Now().nanos - created.nanos) / 1e9);
  }
  if (history_ == nullptr || !make_record_ || build.request().internal) return;
  BuildOutcome outcome{.request = build.request(), .created = created, .completed = {}};
  if (status != nullptr) {
    outcome.completed = Now();
    outcome.status = status;
    outcome.facts = &build.facts();
    outcome.progress = &build.progress();
    outcome.content = &services_.refs->content();
  }
  StatusOr<HistoryRecord> record = make_record_(outcome);
  Status stored = record.status();
  if (record.ok() && status == nullptr) {
    history_->Start(*std::move(record));
  } else if (record.ok()) {
    stored = history_->Complete(*std::move(record));
  }
  if (!stored.ok()) log::Warning("build is not in the history", {{"error", stored.message()}});
}

std::shared_ptr<Build> Controller::WaitFor(const std::string& id, std::chrono::seconds wait,
                                           std::stop_token stop,
                                           const std::function<bool(Build&)>& accept) {
  std::unique_lock lock(mutex_);
  std::shared_ptr<Build> found;
  changed_.wait_for(lock, stop, wait, [&] {
    auto entry = builds_.find(id);
    if (entry == builds_.end() || !accept(*entry->second)) return false;
    found = entry->second;
    return true;
  });
  return found;
}

StatusOr<std::shared_ptr<ProgressLog>> Controller::Progress(const std::string& id,
                                                            std::stop_token stop) {
  std::unique_lock lock(mutex_);
  std::shared_ptr<ProgressLog> found;
  changed_.wait_for(lock, stop, kProgressWait, [&] {
    if (auto build = builds_.find(id); build != builds_.end()) {
      found = build->second->shared_progress();
    }
    for (const auto& [ref, progress] : finished_) {
      if (found == nullptr && ref == id) found = progress;
    }
    return found != nullptr;
  });
  if (found == nullptr) return NotFoundError(StrCat("no such job ", id));
  return found;
}

StatusOr<std::shared_ptr<Build>> Controller::ClientDriven(const std::string& id,
                                                          std::stop_token stop) {
  auto build = WaitFor(id, kClientWait, stop,
                       [](Build& b) { return b.client_frontend() != nullptr; });
  if (build == nullptr) return NotFoundError(StrCat("no such job ", id));
  return build;
}

worker::proxy::ProxyPolicy Controller::ProxyPolicyFor(const std::vector<std::string>& ids) {
  std::vector<BuildContextPtr> builds;
  {
    std::lock_guard lock(mutex_);
    for (const std::string& id : ids) {
      if (auto build = builds_.find(id); build != builds_.end()) {
        builds.push_back(build->second->context());
      }
    }
  }
  return ProxyPolicyOf(std::move(builds));
}

size_t Controller::running() {
  std::lock_guard lock(mutex_);
  return builds_.size();
}

}  // namespace kiln::control
