#include "control/gateway_containers.h"

#include "base/strings.h"
#include "worker/op/container.h"

namespace kiln::control {

GatewayContainers::~GatewayContainers() { ReleaseAll(); }

Status GatewayContainers::Add(const std::string& id,
                              std::shared_ptr<worker::Container> container) {
  std::lock_guard lock(mutex_);
  if (closed_) return CancelledError("context canceled");
  if (containers_.size() >= kMost) {
    return ResourceExhaustedError(StrCat("too many containers: ", containers_.size()));
  }
  if (!containers_.try_emplace(id, std::move(container)).second) {
    return AlreadyExistsError(StrCat("Container ", id, " already exists"));
  }
  return OkStatus();
}

std::shared_ptr<worker::Container> GatewayContainers::Find(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto entry = containers_.find(id);
  return entry == containers_.end() ? nullptr : entry->second;
}

std::shared_ptr<worker::Container> GatewayContainers::Take(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto entry = containers_.find(id);
  if (entry == containers_.end()) return nullptr;
  std::shared_ptr<worker::Container> container = std::move(entry->second);
  containers_.erase(entry);
  return container;
}

void GatewayContainers::ReleaseAll() {
  std::map<std::string, std::shared_ptr<worker::Container>> all;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    all.swap(containers_);
  }
  for (const auto& [id, container] : all) container->Release().IgnoreError();
}

}  // namespace kiln::control
