// ManualLoop: a scheduler's thread and its pools without a thread. What runs next is
// drawn, so that a seed gives one interleaving, every time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "base/job_pool.h"
#include "solver/build_graph.h"

namespace kiln::solver::testing {

// Not thread-safe.
class ManualLoop {
 public:
  explicit ManualLoop(std::mt19937_64& random) : random_(random), pool_(jobs_) {}

  BuildGraph::Parts Parts(cache::KeyIndex& index, OpResolver& ops) {
    return {index, ops, {pool_, pool_, pool_}, mailbox_, [this] { idle_ = true; },
            std::make_shared<Pool>(jobs_)};
  }
  // Runs a message or a job; false if there is none.
  bool Step();
  // As if other threads went on while a job is in the middle of its work.
  void StepInsideJob();
  bool idle() const { return idle_; }

 private:
  using Functions = std::vector<std::function<void()>>;
  struct Box : Mailbox {
    void Post(std::function<void()> function) override { queue.push_back(std::move(function)); }
    std::deque<std::function<void()>> queue;
  };
  struct Pool : JobPool {
    explicit Pool(Functions& all) : jobs(all) {}
    void Submit(std::function<void()> job) override { jobs.push_back(std::move(job)); }
    Functions& jobs;
  };
  void RunMessage();
  void RunJob();

  std::mt19937_64& random_;
  std::shared_ptr<Box> mailbox_ = std::make_shared<Box>();
  Functions jobs_;
  Pool pool_;
  bool idle_ = false;
  int depth_ = 0;  // jobs inside jobs
};

}  // namespace kiln::solver::testing
