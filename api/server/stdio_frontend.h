// StdioFrontends: runs the process of a frontend image and serves it the LLBBridge.
//
// The process finds the connection on its stdin and stdout. What it is started with
// is decided in frontend/gateway.
#pragma once

#include "api/server/server.h"
#include "frontend/gateway/gateway_frontend.h"

namespace kiln::worker {
class Worker;
}

namespace kiln::api {

// Thread-safe. All of `parts` and the worker outlive it.
class StdioFrontends {
 public:
  StdioFrontends(const ServerParts& parts, worker::Worker& worker)
      : parts_(parts), worker_(worker) {}

  // Blocks until the process has ended; everything that it had is gone then. `bridge` is
  // one of control's. "no result for incomplete build" if it never returned one.
  StatusOr<frontend::Result> Run(frontend::Bridge& bridge,
                                 const frontend::gateway::FrontendProcess& process,
                                 std::stop_token stop);

 private:
  const ServerParts& parts_;
  worker::Worker& worker_;
};

}  // namespace kiln::api
