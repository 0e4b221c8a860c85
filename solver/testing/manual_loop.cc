#include "solver/testing/manual_loop.h"

namespace kiln::solver::testing {

bool ManualLoop::Step() {
  if (mailbox_->queue.empty() && jobs_.empty()) return false;
  bool message = jobs_.empty() || (!mailbox_->queue.empty() && random_() % 2 == 0);
  message ? RunMessage() : RunJob();
  return true;
}

void ManualLoop::RunMessage() {
  std::function<void()> function = std::move(mailbox_->queue.front());
  mailbox_->queue.pop_front();
  function();
}

void ManualLoop::RunJob() {
  std::swap(jobs_[random_() % jobs_.size()], jobs_.back());
  std::function<void()> job = std::move(jobs_.back());
  jobs_.pop_back();
  ++depth_;
  job();
  --depth_;
}

void ManualLoop::StepInsideJob() {
  constexpr int kDeepest = 3;
  if (random_() % 8 != 0) return;
  for (uint64_t steps = random_() % 4; steps > 0; --steps) {
    if (!mailbox_->queue.empty() && random_() % 2 == 0) {
      RunMessage();
    } else if (!jobs_.empty() && depth_ < kDeepest) {
      RunJob();
    }
  }
}

}  // namespace kiln::solver::testing
