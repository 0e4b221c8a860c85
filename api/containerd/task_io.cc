#include "api/containerd/task_io.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

StatusOr<UniqueFd> MakeFifo(const std::string& path, int flags) {
  if (::mkfifo(path.c_str(), 0700) != 0) return ErrnoStatus(errno, StrCat("mkfifo ", path));
  return OpenFile(path, flags | O_NONBLOCK | O_CLOEXEC);
}

void MakeRaw(const worker::exec::Attachment& ends) {
  for (int fd : {ends.stdin_fd, ends.stdout_fd, ends.stderr_fd}) {
    termios settings = {};
    if (fd < 0 || ::tcgetattr(fd, &settings) != 0) continue;
    ::cfmakeraw(&settings);
    ::tcsetattr(fd, TCSANOW, &settings);
    return;  // all are the same terminal
  }
}

bool WaitFor(int fd, short events, int quit) {
  pollfd fds[2] = {{fd, events, 0}, {quit, POLLIN, 0}};
  while (::poll(fds, 2, -1) < 0) {
    if (errno != EINTR) return false;
  }
  return fds[1].revents == 0;
}

}  // namespace

StatusOr<std::unique_ptr<TaskIo>> TaskIo::Make(const std::string& base,
                                               const worker::exec::Attachment* attachment,
                                               bool terminal) {
  std::unique_ptr<TaskIo> io(new TaskIo);
  io->attachment_ = attachment;
  if (terminal && attachment != nullptr) MakeRaw(*attachment);
  io->paths_[1] = base + "-stdout";
  ASSIGN_OR_RETURN(io->fds_[1], MakeFifo(io->paths_[1], O_RDONLY));
  if (!terminal) {
    io->paths_[2] = base + "-stderr";
    ASSIGN_OR_RETURN(io->fds_[2], MakeFifo(io->paths_[2], O_RDONLY));
  }
  if (attachment != nullptr && attachment->stdin_fd >= 0) {
    io->paths_[0] = base + "-stdin";
    // For reading as well, so that it opens before the task does.
    ASSIGN_OR_RETURN(io->fds_[0], MakeFifo(io->paths_[0], O_RDWR));
    io->quit_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
    io->pump_ = std::thread([self = io.get()] { self->PumpStdin(); });
  }
  return io;
}

TaskIo::~TaskIo() {
  if (pump_.joinable()) {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t ignored = ::write(quit_.get(), &one, sizeof one);
    pump_.join();
  }
  for (const std::string& path : paths_) {
    if (!path.empty()) ::unlink(path.c_str());
  }
}

void TaskIo::PumpStdin() {
  UniqueFd to = std::move(fds_[0]);
  char buffer[32768];
  while (WaitFor(attachment_->stdin_fd, POLLIN, quit_.get())) {
    ssize_t count = ::read(attachment_->stdin_fd, buffer, sizeof buffer);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) return;
    for (ssize_t done = 0; done < count;) {
      if (!WaitFor(to.get(), POLLOUT, quit_.get())) return;
      ssize_t wrote = ::write(to.get(), buffer + done, static_cast<size_t>(count - done));
      if (wrote > 0) done += wrote;
      if (wrote < 0 && errno != EINTR && errno != EAGAIN) return;
    }
  }
}

void TaskIo::Read(int stream, const worker::exec::OutputFn& output) {
  char buffer[32768];
  UniqueFd& fd = fds_[stream];
  ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (count <= 0) {
    fd.Reset();
    return;
  }
  std::string_view bytes(buffer, static_cast<size_t>(count));
  if (attachment_ == nullptr) {
    output(stream, bytes);
    return;
  }
  int to = stream == 1 ? attachment_->stdout_fd : attachment_->stderr_fd;
  // Who no longer reads does not stop the task.
  if (to >= 0) WriteAll(to, bytes).IgnoreError();
}

}  // namespace kiln::api
