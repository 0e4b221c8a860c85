// GatewayContainers: the containers of one driver of a build, by the ids that it chose.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"

namespace kiln::worker {
class Container;
}

namespace kiln::control {

// Thread-safe.
class GatewayContainers {
 public:
  // At a time. The reference knows no limit.
  static constexpr size_t kMost = 1000;

  GatewayContainers() = default;
  ~GatewayContainers();  // ReleaseAll

  // ALREADY_EXISTS "Container X already exists"; RESOURCE_EXHAUSTED if there are kMost;
  // CANCELLED after ReleaseAll.
  Status Add(const std::string& id, std::shared_ptr<worker::Container> container);
  // Null if there is none.
  std::shared_ptr<worker::Container> Find(const std::string& id);
  std::shared_ptr<worker::Container> Take(const std::string& id);
  // Ends all processes and blocks until everything of them is gone.
  void ReleaseAll();

 private:
  std::mutex mutex_;
  bool closed_ = false;
  std::map<std::string, std::shared_ptr<worker::Container>> containers_;
};

}  // namespace kiln::control
