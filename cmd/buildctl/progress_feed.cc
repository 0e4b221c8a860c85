// See progress_feed.h.
#include "cmd/buildctl/progress_feed.h"

#include <cstdlib>

#include "base/digest.h"
#include "base/file.h"

namespace kiln::buildctl {

StatusOr<std::unique_ptr<ProgressFeed>> ProgressFeed::Start(std::string mode, int fd) {
  const char* env = std::getenv("BUILDKIT_PROGRESS");
  if (mode == "auto" && env != nullptr && *env != '\0') mode = env;
  api::DisplayOptions options;
  options.fd = fd;
  ASSIGN_OR_RETURN(std::unique_ptr<api::Display> display, api::NewDisplay(mode, options));
  return std::unique_ptr<ProgressFeed>(new ProgressFeed(std::move(display)));
}

ProgressFeed::ProgressFeed(std::unique_ptr<api::Display> display)
    : display_(std::move(display)), thread_([this] { Run(); }) {}

void ProgressFeed::Add(api::SolveStatus status) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(status));
  }
  wake_.notify_one();
}

void ProgressFeed::AddStep(const std::string& name) {
  api::SolveStatus status;
  api::VertexState& step = status.vertexes.emplace_back();
  step.digest = Digest::Of(NewId()).text();
  step.name = name;
  step.started = Now();
  Add(status);
  status.vertexes.front().completed = Now();
  Add(std::move(status));
}

void ProgressFeed::Finish() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void ProgressFeed::Run() {
  auto pause = std::chrono::milliseconds(api::RefreshMillis());
  std::unique_lock lock(mutex_);
  while (true) {
    bool news = wake_.wait_for(lock, pause, [this] { return over_ || !queue_.empty(); });
    if (!news) {
      lock.unlock();
      display_->Refresh();
      lock.lock();
      continue;
    }
    if (queue_.empty()) break;
    api::SolveStatus status = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    display_->Update(status);
    lock.lock();
  }
  lock.unlock();
  display_->Done();
}

}  // namespace kiln::buildctl
