// HistoryFinisher: what is done with a build's record some seconds after its end.
//
// Clients may send more about a build after it has ended, so its trace is stored
// later, or when somebody asks for it to be final.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace kiln::control {

// Thread-safe. One thread of its own; what is left when it goes is done at once.
class HistoryFinisher {
 public:
  explicit HistoryFinisher(std::chrono::milliseconds delay) : delay_(delay) {}
  ~HistoryFinisher();

  void Add(std::string ref, std::function<void()> work);
  // Does what waits for `ref` now; returns when it is done.
  void Finish(std::string_view ref);

 private:
  struct Entry {
    std::string ref;
    std::function<void()> work;
    std::chrono::steady_clock::time_point due;
  };
  void Run();

  const std::chrono::milliseconds delay_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Entry> entries_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace kiln::control
