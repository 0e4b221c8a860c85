// JobPool: blocking work on a bounded number of threads.
//
// A job is straight-line code that takes a std::stop_token. A job never waits
// for another job; only the scheduler composes work.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

namespace kiln {

// Thread-safe. Threads are made when work arrives and there are fewer than
// `width`; they stay until the destructor, which waits for running jobs.
class JobPool {
 public:
  JobPool(std::string name, size_t width);
  virtual ~JobPool();
  JobPool(const JobPool&) = delete;
  JobPool& operator=(const JobPool&) = delete;

  // Queues `job`; it runs even if `stop` is already requested, and is to look
  // at the token itself. An exception that escapes ends the process.
  virtual void Submit(std::function<void()> job);
  // Jobs that wait for a thread.
  size_t queued() const;

 protected:
  // For a pool without threads, whose jobs are run by somebody else (tests).
  JobPool();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The three kinds of blocking work; widths keep one kind from starving another.
struct JobPools {
  JobPool& exec;
  JobPool& network;
  JobPool& disk;
};

}  // namespace kiln
