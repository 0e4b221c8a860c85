#include "worker/exec/running_containers.h"

#include <chrono>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::worker::exec {
namespace {

// The runtime tells nobody but its file that the container is up.
constexpr std::chrono::milliseconds kLook{10};

}  // namespace

void RunningContainers::Add(const std::string& id, const std::string& bundle) {
  std::lock_guard lock(mutex_);
  bundles_[id] = bundle;
}

void RunningContainers::Remove(const std::string& id) {
  std::lock_guard lock(mutex_);
  bundles_.erase(id);
  changed_.notify_all();
}

StatusOr<std::string> RunningContainers::WaitFor(const std::string& id, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  auto entry = bundles_.find(id);
  if (entry == bundles_.end()) return UnknownError(StrCat("container ", id, " not found"));
  const std::string bundle = entry->second;
  while (!PathExists(JoinPath(bundle, kPidFile))) {
    if (stop.stop_requested()) return CancelledError("context canceled");
    bool gone = changed_.wait_for(lock, stop, kLook, [&] { return !bundles_.contains(id); });
    if (gone) return UnknownError(StrCat("container ", id, " has stopped"));
  }
  return bundle;
}

}  // namespace kiln::worker::exec
