// A map of builds with waiting; the history beside it.
#include "control/controller.h"

#include "base/log.h"
#include "base/strings.h"

namespace kiln::control {
namespace {

// Status may come before Solve, LLBBridge calls too.
constexpr std::chrono::seconds kProgressWait{6};
constexpr std::chrono::seconds kClientWait{3};

}  // namespace

Controller::Controller(const Services& services, History* history, RecordMaker make_record)
    : services_(services), history_(history), make_record_(std::move(make_record)) {}

StatusOr<BuildResponse> Controller::Solve(BuildRequest request, std::stop_token stop) {
  auto build = std::make_shared<Build>(services_, std::move(request));
  const std::string& id = build->request().id;
  {
    std::lock_guard lock(mutex_);
    if (!builds_.try_emplace(id, build).second) {
      return UnknownError(StrCat("job ID ", id, " exists"));
    }
    changed_.notify_all();
  }
  Time created = Now();
  Record(*build, created, nullptr);
  StatusOr<BuildResponse> response = build->Run(stop);
  Record(*build, created, &response);
  build->progress().Close();
  if (services_.after_build) services_.after_build();
  std::lock_guard lock(mutex_);
  builds_.erase(id);
  return response;
}

void Controller::Record(Build& build, Time created, const StatusOr<BuildResponse>* response) {
  if (response != nullptr && !build.request().internal) {
    metrics_.Record(response->status(), build.progress().counts(),
                    static_cast<double>(Now().nanos - created.nanos) / 1e9);
  }
  if (history_ == nullptr || !make_record_ || build.request().internal) return;
  BuildOutcome outcome{.request = build.request(),
                       .created = created,
                       .completed = response == nullptr ? Time{} : Now(),
                       .response = response,
                       .counts = build.progress().counts()};
  if (response == nullptr) {
    history_->Start(make_record_(outcome));
    return;
  }
  Status stored = history_->Complete(make_record_(outcome));
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
  auto build = WaitFor(id, kProgressWait, stop, [](Build&) { return true; });
  if (build == nullptr) return NotFoundError(StrCat("no such job ", id));
  return build->shared_progress();
}

StatusOr<std::shared_ptr<Build>> Controller::ClientDriven(const std::string& id,
                                                          std::stop_token stop) {
  auto build = WaitFor(id, kClientWait, stop,
                       [](Build& b) { return b.client_frontend() != nullptr; });
  if (build == nullptr) return NotFoundError(StrCat("no such job ", id));
  return build;
}

size_t Controller::running() {
  std::lock_guard lock(mutex_);
  return builds_.size();
}

}  // namespace kiln::control
