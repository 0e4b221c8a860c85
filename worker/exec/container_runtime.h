// ContainerRuntime: what runs the processes of containers; runc, or containerd.
//
// The bundle (spec, root mount, host files) is made and removed by the executor.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/status.h"
#include "worker/exec/container_process.h"
#include "worker/exec/executor.h"

namespace kiln::worker::exec {

// Thread-safe. Blocking.
class ContainerRuntime {
 public:
  virtual ~ContainerRuntime() = default;
  // As RunContainer in container_process.h; `binary` of the call is the runtime's to fill in.
  virtual StatusOr<RuntimeExit> Run(const RuntimeCall& call, const OutputFn& output,
                                    std::stop_token stop) = 0;
  // By force; what is not there is fine.
  virtual void Delete(const std::string& id) = 0;
  // The root of the spec, for a tree that is mounted at `rootfs`.
  virtual std::string SpecRoot(const std::string& rootfs) const { return rootfs; }
};

// `binary`: empty: buildkit-runc, then runc. NOT_FOUND.
StatusOr<std::unique_ptr<ContainerRuntime>> OpenRunc(const std::string& binary);

// Removes what an earlier process left, sets up the network.
StatusOr<std::unique_ptr<Executor>> OpenExecutor(const ExecutorOptions& options,
                                                 std::unique_ptr<ContainerRuntime> runtime);

}  // namespace kiln::worker::exec
