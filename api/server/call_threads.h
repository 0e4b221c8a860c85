// CallThreads: the threads on which gRPC calls block.
//
// gRPC's own callback threads are few and must not wait; each call that may wait
// runs on a thread of its own from here. Idle threads are kept for a while.
#pragma once

#include <functional>
#include <memory>

namespace kiln::api {

// Thread-safe. The destructor waits for all calls.
class CallThreads {
 public:
  CallThreads();
  ~CallThreads();
  CallThreads(const CallThreads&) = delete;
  CallThreads& operator=(const CallThreads&) = delete;

  // Never blocks and never queues behind another call.
  void Run(std::function<void()> call);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiln::api
