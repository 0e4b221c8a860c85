// Connection: the channel to a daemon, by address.
//
// The socket is connected here and handed to gRPC, so that failures read as the
// reference's and a connection goes through any program (docker exec, ssh).
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"
#include "base/unique_fd.h"

namespace grpc {
class Channel;
class ClientContext;
}

namespace kiln::api {

struct ConnectionOptions {
  std::string address;      // unix://, tcp://, docker-container://, podman-container://,
                            // nerdctl-container://, kube-pod://, ssh://
  std::string server_name;  // for TLS
  std::string ca_cert;      // files; TLS if any of the three is given
  std::string cert;
  std::string key;
};

// Thread-safe after Open.
class Connection {
 public:
  // Fails for bad addresses and files only. That nobody listens is what calls end
  // with (`failure`), as with the reference's lazy dialling.
  static StatusOr<std::unique_ptr<Connection>> Open(const ConnectionOptions& options);
  ~Connection();

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // UNAVAILABLE 'connection error: desc = "transport: …"'; OK if connected.
  const Status& failure() const { return failure_; }
  // The reason for a call that failed without one: UNAVAILABLE, or OK if the call is to
  // blame. Looks once at most; may take seconds.
  Status Diagnose();

 private:
  Connection() = default;
  Status OpenTls(const ConnectionOptions& options, const std::string& target);

  std::shared_ptr<grpc::Channel> channel_;
  Status failure_;
  ConnectionOptions options_;
  std::once_flag diagnosed_;
  Status diagnosis_;
};

// A socket connected to unix:// or tcp://. Errors in Go's words
// ("dial unix /x: connect: no such file or directory").
StatusOr<UniqueFd> DialSocket(const std::string& network, const std::string& address);

}  // namespace kiln::api
