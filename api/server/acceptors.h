// Acceptors: threads that hand connections of listening sockets to a gRPC server.
//
// Sockets are made by the caller, who decides on path, owner and mode; gRPC's own
// listeners cannot do that.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"

namespace grpc {
class Server;
}

namespace kiln::api {

// Used by one thread. One thread per socket runs behind it.
class Acceptors {
 public:
  Acceptors();
  ~Acceptors();  // Stop

  // Who gets a connection, and owns its descriptor from then on. Called by the socket's thread,
  // until the next Stop.
  using Take = std::function<void(int fd)>;
  // For connections in the clear; `server` outlives the next Stop.
  static Take ToServer(grpc::Server& server);
  // Accepts on `socket`.
  Status Add(UniqueFd socket, Take take);
  // No connection is handed over after this; sockets are closed.
  void Stop();

 private:
  UniqueFd wake_;
  std::vector<UniqueFd> sockets_;
  std::vector<std::thread> threads_;
};

}  // namespace kiln::api
