// Listening addresses: unix sockets, TCP with and without TLS, systemd's sockets.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/server/server.h"
#include "base/unique_fd.h"
#include "cmd/buildkitd/config.h"

namespace kiln::buildkitd {

// What was opened; sockets are removed from the file system with it.
class Listeners {
 public:
  // Opens all of `config`. Errors are the reference's.
  static StatusOr<Listeners> Open(const Config& config);
  Listeners() = default;
  Listeners(Listeners&&) = default;
  Listeners& operator=(Listeners&&) = default;
  ~Listeners();

  // Hands everything to the server: the certificate before it starts, then the sockets.
  void Prepare(api::Server& server);
  Status Serve(api::Server& server);

 private:
  struct Socket {
    std::string shown;  // in the log
    UniqueFd fd;
    bool tls = false;
  };
  Status Add(const std::string& address, const Config& config);

  std::vector<Socket> sockets_;
  std::vector<std::string> paths_;
  std::optional<api::TlsIdentity> identity_;
};

}  // namespace kiln::buildkitd
