// Tunnel: an HTTP/2 connection carried inside a gRPC stream of byte messages.
//
// Control.Session is such a stream: the client is the gRPC server inside it. The
// bytes go through a socket pair, since gRPC's transport wants a file descriptor.
// Who runs a channel or a server on that descriptor is api/session and api/client.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/status.h"
#include "base/unique_fd.h"

namespace kiln::api {

// The outer stream as the pump sees it. Read and Write are called from one thread
// each, at the same time. Both block; Cancel unblocks them from any thread.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  virtual bool Read(std::string* bytes) = 0;        // false at the end
  virtual bool Write(std::string_view bytes) = 0;   // false if the peer is gone
  virtual void Cancel() = 0;
};

// Moves bytes between a ByteStream and a socket until either side ends; then the
// other side is ended too. Thread-safe.
class Tunnel {
 public:
  // Starts two threads. `stream` must outlive the tunnel.
  static StatusOr<std::unique_ptr<Tunnel>> Start(ByteStream& stream);
  ~Tunnel();  // Close and Wait

  // The non-blocking end for gRPC, which closes it. Once only.
  int ReleaseGrpcFd() { return grpc_end_.Release(); }
  // Ends both directions; returns at once.
  void Close();
  // Blocks until both threads are through.
  void Wait();

 private:
  explicit Tunnel(ByteStream& stream) : stream_(stream) {}
  void PumpIn();
  void PumpOut();

  ByteStream& stream_;
  UniqueFd local_end_;
  UniqueFd grpc_end_;
  std::thread in_;
  std::thread out_;
};

}  // namespace kiln::api
