// gRPC wants one descriptor: a tunnel moves the bytes between that and the two.
#include "examples/custom-frontend/stdio_channel.h"

#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "api/tunnel/tunnel.h"
#include "base/file.h"

namespace recipe {

// The two pipes that a frontend is given, or one socket twice: that is up to the daemon.
class StdioStream : public kiln::api::ByteStream {
 public:
  bool Read(std::string* bytes) override {
    pollfd wait[2] = {{STDIN_FILENO, POLLIN, 0}, {cancelled_.get(), POLLIN, 0}};
    while (::poll(wait, 2, -1) < 0 && errno == EINTR) {
    }
    if (wait[1].revents != 0) return false;
    bytes->resize(kChunk);
    ssize_t count = ::read(STDIN_FILENO, bytes->data(), bytes->size());
    bytes->resize(count > 0 ? static_cast<size_t>(count) : 0);
    return count > 0;
  }
  bool Write(std::string_view bytes) override {
    return kiln::WriteAll(STDOUT_FILENO, bytes).ok();
  }
  void Cancel() override { eventfd_write(cancelled_.get(), 1); }

 private:
  static constexpr size_t kChunk = 64 << 10;
  kiln::UniqueFd cancelled_{eventfd(0, EFD_CLOEXEC)};
};

StdioChannel::StdioChannel() : stream_(std::make_unique<StdioStream>()) {}
StdioChannel::~StdioChannel() = default;

kiln::StatusOr<std::unique_ptr<StdioChannel>> StdioChannel::Open() {
  std::unique_ptr<StdioChannel> made(new StdioChannel);
  ASSIGN_OR_RETURN(made->tunnel_, kiln::api::Tunnel::Start(*made->stream_));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  made->channel_ = grpc::CreateCustomInsecureChannelFromFd(
      "localhost", made->tunnel_->ReleaseGrpcFd(), arguments);
  return made;
}

}  // namespace recipe
