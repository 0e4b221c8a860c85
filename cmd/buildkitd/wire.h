// Wire: the whole object graph of the daemon, built in one function.
#pragma once

#include <memory>

#include "api/server/server.h"
#include "cmd/buildkitd/config.h"
#include "cmd/buildkitd/debug_server.h"

namespace kiln::buildkitd {

// Everything between the state folder and the gRPC server. Used by one thread.
class Daemon {
 public:
  // Opens the state under config.root, which is locked by the caller.
  static StatusOr<std::unique_ptr<Daemon>> Open(const Config& config);
  ~Daemon();  // stops the server, then everything below it

  api::Server& server();
  // What the debug server shows of it; works as long as this lives.
  DebugSources debug_sources();

 private:
  struct Graph;
  Daemon();
  std::unique_ptr<Graph> graph_;
};

}  // namespace kiln::buildkitd
