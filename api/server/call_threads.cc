// A cache of threads: as many as calls at the peak, idle ones end after a while.
#include "api/server/call_threads.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace kiln::api {

namespace {
constexpr std::chrono::seconds kIdle{10};
}

struct CallThreads::State {
  std::mutex mutex;
  std::condition_variable work;
  std::condition_variable ended;
  std::deque<std::function<void()>> waiting;
  size_t idle = 0;
  size_t alive = 0;
  bool closing = false;

  void Loop() {
    std::unique_lock lock(mutex);
    while (true) {
      ++idle;
      bool woken = work.wait_for(lock, kIdle, [&] { return closing || !waiting.empty(); });
      --idle;
      if (waiting.empty()) {
        if (closing || !woken) break;
        continue;
      }
      auto call = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      call();
      call = nullptr;
      lock.lock();
    }
    --alive;
    ended.notify_all();
  }
};

CallThreads::CallThreads() : state_(std::make_unique<State>()) {}

CallThreads::~CallThreads() {
  std::unique_lock lock(state_->mutex);
  state_->closing = true;
  state_->work.notify_all();
  state_->ended.wait(lock, [&] { return state_->alive == 0; });
}

void CallThreads::Run(std::function<void()> call) {
  std::lock_guard lock(state_->mutex);
  state_->waiting.push_back(std::move(call));
  if (state_->idle >= state_->waiting.size()) {
    state_->work.notify_one();
    return;
  }
  ++state_->alive;
  std::thread([state = state_.get()] { state->Loop(); }).detach();
}

}  // namespace kiln::api
