// See interrupt.h.
#include "cmd/buildctl/interrupt.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace kiln::buildctl {
namespace {

int signal_pipe = -1;

void OnSignal(int) {
  int saved = errno;
  char byte = 's';
  if (::write(signal_pipe, &byte, 1) < 0) std::_Exit(1);
  errno = saved;
}

}  // namespace

Interrupt::Interrupt() {
  if (::pipe2(pipe_, O_CLOEXEC) != 0) std::abort();
  signal_pipe = pipe_[1];
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
  thread_ = std::thread([this] {
    char byte;
    int count = 0;
    while (::read(pipe_[0], &byte, 1) == 1 && byte == 's') {
      source_.request_stop();
      if (++count >= 3) {
        std::fputs("got 3 SIGTERM/SIGINTs, forcing shutdown\n", stderr);
        std::_Exit(1);
      }
    }
  });
}

Interrupt::~Interrupt() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  char byte = 'q';
  if (::write(pipe_[1], &byte, 1) == 1) thread_.join();
  ::close(pipe_[0]);
  ::close(pipe_[1]);
}

}  // namespace kiln::buildctl
