// A gRPC channel over stdin and stdout, which is how frontends in containers are
// connected to their daemon.
#pragma once

#include <memory>

#include "base/status.h"

namespace grpc {
class Channel;
}
namespace kiln::api {
class Tunnel;
}

namespace recipe {

class StdioStream;  // stdio_channel.cc

// Stdin and stdout belong to it until it is gone. Thread-safe.
class StdioChannel {
 public:
  static kiln::StatusOr<std::unique_ptr<StdioChannel>> Open();
  ~StdioChannel();  // calls that are still open fail

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  StdioChannel();

  std::unique_ptr<StdioStream> stream_;
  std::unique_ptr<kiln::api::Tunnel> tunnel_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace recipe
