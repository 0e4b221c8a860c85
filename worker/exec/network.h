// Network namespaces of steps: the host's, an empty one, or one set up by CNI plugins.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "worker/exec/executor.h"
#include "worker/exec/runtime_spec.h"
#include "worker/exec/step_usage.h"

namespace kiln::worker::exec {

// A namespace in use by one step; taken down in the destructor.
class NetworkLease {
 public:
  virtual ~NetworkLease() = default;
  virtual NetworkNamespace network() const = 0;
  // What went over the host's end of its link since the step has it; nothing if nobody counts.
  virtual std::optional<Counters> Traffic() const { return std::nullopt; }
};

// Thread-safe. Blocking.
class NetworkProvider {
 public:
  virtual ~NetworkProvider() = default;
  virtual StatusOr<std::unique_ptr<NetworkLease>> New(const std::string& hostname) = 0;
};

std::unique_ptr<NetworkProvider> MakeHostNetwork();
std::unique_ptr<NetworkProvider> MakeNoNetwork();
// By mode: "auto" and "" take CNI if its configuration is there (the bridge if
// BUILDKIT_NETWORK_BRIDGE_AUTO says so), else the host's.
StatusOr<std::unique_ptr<NetworkProvider>> OpenDefaultNetwork(const ExecutorOptions& options);

}  // namespace kiln::worker::exec
