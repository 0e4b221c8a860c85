// poll over the socket and an eventfd that says stop.
#include "api/server/acceptors.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace kiln::api {
namespace {

// Accepts until `wake` is readable.
void AcceptLoop(int listener, int wake, const Acceptors::Take& take) {
  while (true) {
    pollfd wait[2] = {{listener, POLLIN, 0}, {wake, POLLIN, 0}};
    if (poll(wait, 2, -1) < 0 && errno != EINTR) return;
    if (wait[1].revents != 0) return;
    int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      // No descriptors left: let others close some instead of spinning.
      if (errno == EMFILE || errno == ENFILE) poll(wait + 1, 1, 100);
      continue;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails on unix sockets, rightly
    take(fd);
  }
}

}  // namespace

Acceptors::Acceptors() : wake_(eventfd(0, EFD_CLOEXEC)) {}
Acceptors::~Acceptors() { Stop(); }

Acceptors::Take Acceptors::ToServer(grpc::Server& server) {
  return [&server](int fd) { grpc::AddInsecureChannelFromFd(&server, fd); };
}

Status Acceptors::Add(UniqueFd socket, Take take) {
  if (fcntl(socket.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoStatus(errno, "fcntl");
  int fd = socket.get();
  sockets_.push_back(std::move(socket));
  threads_.emplace_back(
      [fd, wake = wake_.get(), take = std::move(take)] { AcceptLoop(fd, wake, take); });
  return OkStatus();
}

void Acceptors::Stop() {
  eventfd_write(wake_.get(), 1);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  sockets_.clear();
}

}  // namespace kiln::api
