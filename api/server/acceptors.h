// Acceptors: threads that hand connections of listening sockets to a gRPC server.
//
// Sockets are made by the caller, who decides on path, owner and mode; gRPC's own
// listeners cannot do that.
#pragma once

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

  // Accepts on `socket` for `server`, which outlives this or the next Stop.
  Status Add(UniqueFd socket, grpc::Server& server);
  // No connection is handed over after this; sockets are closed.
  void Stop();

 private:
  UniqueFd wake_;
  std::vector<UniqueFd> sockets_;
  std::vector<std::thread> threads_;
};

}  // namespace kiln::api
