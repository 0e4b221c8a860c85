// The pump behind Tunnel: one thread per direction, blocking reads and writes on
// our end of the socket pair.
#include "api/tunnel/tunnel.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

namespace kiln::api {
namespace {

// gRPC writes up to this much before the pump has taken it.
constexpr int kSocketBuffer = 1 << 20;
// One outer message; well under every peer's limit on received messages.
constexpr size_t kMaxMessage = 256 << 10;

bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace

StatusOr<std::unique_ptr<Tunnel>> Tunnel::Start(ByteStream& stream) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "socketpair");
  }
  std::unique_ptr<Tunnel> tunnel(new Tunnel(stream));
  tunnel->local_end_ = UniqueFd(ends[0]);
  tunnel->grpc_end_ = UniqueFd(ends[1]);
  for (int end : ends) {
    // A hint only: the kernel may give less.
    setsockopt(end, SOL_SOCKET, SO_SNDBUF, &kSocketBuffer, sizeof kSocketBuffer);
  }
  if (fcntl(ends[1], F_SETFL, O_NONBLOCK) != 0) return ErrnoStatus(errno, "fcntl");
  tunnel->in_ = std::thread([t = tunnel.get()] { t->PumpIn(); });
  tunnel->out_ = std::thread([t = tunnel.get()] { t->PumpOut(); });
  return tunnel;
}

Tunnel::~Tunnel() {
  Close();
  Wait();
}

void Tunnel::Close() {
  shutdown(local_end_.get(), SHUT_RDWR);
  stream_.Cancel();
}

void Tunnel::Wait() {
  if (in_.joinable()) in_.join();
  if (out_.joinable()) out_.join();
}

void Tunnel::PumpIn() {
  std::string bytes;
  while (stream_.Read(&bytes) && SendAll(local_end_.get(), bytes)) {
  }
  Close();
}

void Tunnel::PumpOut() {
  std::string buffer(kMaxMessage, '\0');
  while (true) {
    ssize_t count = recv(local_end_.get(), buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    if (!stream_.Write(std::string_view(buffer.data(), static_cast<size_t>(count)))) break;
  }
  Close();
}

}  // namespace kiln::api
