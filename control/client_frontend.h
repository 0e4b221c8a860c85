// ClientFrontend: the frontend of a build that its client drives from outside.
//
// Solve waits until the client says Return; meanwhile api/server passes the
// client's LLBBridge calls to the bridge. References are known by id here. Image
// frontends speak the same protocol from inside a container.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "frontend/bridge.h"

namespace kiln::control {

// Thread-safe. `bridge` must outlive it.
class ClientFrontend {
 public:
  explicit ClientFrontend(frontend::Bridge& bridge) : bridge_(bridge) {}

  frontend::Bridge& bridge() { return bridge_; }

  // Keeps a reference under a new id; "" for scratch.
  std::string Register(const frontend::ReferencePtr& reference);
  // "no such ref: X" and "empty ref: " for ids that cannot be read.
  StatusOr<frontend::ReferencePtr> Find(const std::string& id);
  // The same for ids of a returned result: "" is scratch, "return reference X not found".
  StatusOr<frontend::ReferencePtr> Returned(const std::string& id);

  // Ends the build. "gateway result is already set" the second time.
  Status Return(StatusOr<frontend::Result> result);
  // Blocks until Return; CANCELLED when `stop` fires first.
  StatusOr<frontend::Result> Wait(std::stop_token stop);

 private:
  frontend::Bridge& bridge_;
  std::mutex mutex_;
  std::condition_variable_any returned_;
  std::map<std::string, frontend::ReferencePtr> references_;
  std::optional<StatusOr<frontend::Result>> result_;
};

}  // namespace kiln::control
