#include "base/job_pool.h"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace kiln {

struct JobPool::State {
  std::string name;
  size_t width;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::function<void()>> queue;
  std::vector<std::thread> threads;
  size_t idle = 0;
  bool closing = false;

  void Run() {
    pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
    std::unique_lock lock(mutex);
    for (;;) {
      ++idle;
      wake.wait(lock, [&] { return closing || !queue.empty(); });
      --idle;
      if (queue.empty()) {
        return;
      }
      {
        std::function<void()> job = std::move(queue.front());
        queue.pop_front();
        lock.unlock();
        job();
        // The job and what it captured die here, outside the lock.
      }
      lock.lock();
    }
  }
};

JobPool::JobPool(std::string name, size_t width) : state_(std::make_unique<State>()) {
  state_->name = std::move(name);
  state_->width = width == 0 ? 1 : width;
}

JobPool::JobPool() = default;

JobPool::~JobPool() {
  if (state_ == nullptr) return;
  {
    std::lock_guard lock(state_->mutex);
    state_->closing = true;
  }
  state_->wake.notify_all();
  for (std::thread& thread : state_->threads) {
    thread.join();
  }
}

void JobPool::Submit(std::function<void()> job) {
  std::lock_guard lock(state_->mutex);
  state_->queue.push_back(std::move(job));
  if (state_->queue.size() > state_->idle && state_->threads.size() < state_->width) {
    state_->threads.emplace_back([state = state_.get()] { state->Run(); });
  }
  state_->wake.notify_one();
}

size_t JobPool::queued() const {
  if (state_ == nullptr) return 0;
  std::lock_guard lock(state_->mutex);
  return state_->queue.size();
}

}  // namespace kiln
