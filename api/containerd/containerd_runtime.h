// The container runtime that is a containerd: steps run as its tasks.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/status.h"
#include "worker/exec/container_runtime.h"

namespace kiln::api {

struct ContainerdOptions {
  std::string address;
  std::string name_space = "buildkit";
  std::string runtime_name = "io.containerd.runc.v2";
  std::string runtime_path = {};                        // of the shim; "": containerd finds it
  std::map<std::string, std::string> runtime_options = {};  // of runc's shim, by Go's names
};

struct Containerd {
  std::unique_ptr<worker::exec::ContainerRuntime> runtime;
  std::string uuid;  // of the daemon
};

// UNAVAILABLE if nobody answers at the address; INVALID_ARGUMENT for unknown options.
StatusOr<Containerd> OpenContainerd(const ContainerdOptions& options);

}  // namespace kiln::api
