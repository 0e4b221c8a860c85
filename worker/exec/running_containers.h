// RunningContainers: the attached containers of an executor, by name.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>

#include "base/status.h"

namespace kiln::worker::exec {

// In a container's bundle; the runtime writes it when the first process runs.
inline constexpr char kPidFile[] = "pid";

// Thread-safe.
class RunningContainers {
 public:
  void Add(const std::string& id, const std::string& bundle);
  void Remove(const std::string& id);
  // Blocks until the container runs; its bundle then. "container X not found",
  // "container X has stopped"; CANCELLED when `stop` fires.
  StatusOr<std::string> WaitFor(const std::string& id, std::stop_token stop);

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, std::string> bundles_;
};

}  // namespace kiln::worker::exec
