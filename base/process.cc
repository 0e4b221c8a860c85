#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/file.h"

namespace kiln {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) {
    pointers.push_back(const_cast<char*>(text.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

void AddStdio(posix_spawn_file_actions_t* actions, int fd, int target, int flags) {
  if (fd < 0) {
    posix_spawn_file_actions_addopen(actions, target, "/dev/null", flags, 0);
  } else {
    posix_spawn_file_actions_adddup2(actions, fd, target);
  }
}

int Spawn(const ProcessOptions& options, pid_t* pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  AddStdio(&actions, options.stdin_fd, 0, O_RDONLY);
  AddStdio(&actions, options.stdout_fd, 1, O_WRONLY);
  AddStdio(&actions, options.stderr_fd, 2, O_WRONLY);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  if (!options.cwd.empty()) {
    posix_spawn_file_actions_addchdir_np(&actions, options.cwd.c_str());
  }
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  // Not sigfillset: it leaves out the C library's own two, which posix_spawn then ignores.
  std::memset(&all, 0xff, sizeof all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  flags |= options.new_session ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP;
  posix_spawnattr_setflags(&attributes, static_cast<short>(flags));
  std::vector<char*> argv = Pointers(options.argv);
  std::vector<char*> env = Pointers(options.env);
  int error = posix_spawnp(pid, argv[0], &actions, &attributes, argv.data(), env.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// Moves bytes between the child's pipes and memory until both outputs close.
class Pump {
 public:
  Pump(std::string_view input, size_t limit) : input_(input), limit_(limit) {}

  Status Run(Process& process, UniqueFd in, UniqueFd out, UniqueFd err, CommandOutput* output,
             const std::stop_token& stop) {
    if (input_.empty()) in.Reset();
    while (out.valid() || err.valid()) {
      if (stop.stop_requested()) {
        ::kill(-process.pid(), SIGKILL);
        return CancelledError("context canceled");
      }
      pollfd fds[3] = {{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}, {in.get(), POLLOUT, 0}};
      if (::poll(fds, 3, 50) < 0 && errno != EINTR) {
        return ErrnoStatus(errno, "poll");
      }
      if (fds[0].revents != 0) Read(out, &output->out);
      if (fds[1].revents != 0) Read(err, &output->err);
      if (fds[2].revents != 0) Feed(in);
    }
    return OkStatus();
  }

 private:
  void Read(UniqueFd& fd, std::string* into) {
    char buffer[16384];
    ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count > 0) {
      size_t room = limit_ > into->size() ? limit_ - into->size() : 0;
      into->append(buffer, std::min(room, static_cast<size_t>(count)));
    } else if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
      fd.Reset();
    }
  }
  void Feed(UniqueFd& fd) {
    ssize_t count = ::write(fd.get(), input_.data(), std::min<size_t>(input_.size(), 4096));
    if (count > 0) input_.remove_prefix(static_cast<size_t>(count));
    if (input_.empty() || (count < 0 && errno != EINTR && errno != EAGAIN)) fd.Reset();
  }

  std::string_view input_;
  size_t limit_;
};

}  // namespace

namespace {

// What children get back; "" if nothing was changed. Written once, before threads are made.
std::string core_filter;

bool WriteProcFile(const std::string& path, std::string_view text) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd.valid() && WriteAll(fd.get(), text).ok();
}

}  // namespace

void KeepMemoryOutOfCores() {
  constexpr const char* kFilter = "/proc/self/coredump_filter";
  StatusOr<std::string> before = ReadFile(kFilter);
  if (!before.ok()) return;  // a kernel without it writes no cores of interest
  if (WriteProcFile(kFilter, "0")) core_filter = StrCat("0x", *before);
}

std::vector<std::string> OwnEnvironment() {
  std::vector<std::string> env;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    env.emplace_back(*entry);
  }
  return env;
}

StatusOr<Process> Process::Start(const ProcessOptions& options) {
  Process process;
  int error = Spawn(options, &process.pid_);
  if (error != 0) {
    return ErrnoStatus(error, StrCat("fork/exec ", options.argv[0]));
  }
  process.pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid_, 0)));
  if (!core_filter.empty()) {
    // It may have ended already, or changed its user; then there is nothing to give back.
    WriteProcFile(StrCat("/proc/", process.pid_, "/coredump_filter"), core_filter);
  }
  return process;
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      reaped_(other.reaped_),
      exit_code_(other.exit_code_) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(reaped_, other.reaped_);
  std::swap(exit_code_, other.exit_code_);
  return *this;
}

Process::~Process() {
  if (pid_ > 0 && !reaped_) {
    Kill(SIGKILL);
    Wait().IgnoreError();
  }
}

void Process::Kill(int signal) {
  if (pid_ > 0 && !reaped_) {
    if (pidfd_.valid()) {
      ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0);
    } else {
      ::kill(pid_, signal);
    }
  }
}

StatusOr<int> Process::Wait() {
  if (reaped_) {
    return exit_code_;
  }
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) {
      return ErrnoStatus(errno, "wait");
    }
  }
  reaped_ = true;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) {
    return ErrnoStatus(errno, "pipe");
  }
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

StatusOr<CommandOutput> RunCommand(ProcessOptions options, std::string_view input,
                                   std::stop_token stop, size_t limit) {
  ASSIGN_OR_RETURN(Pipe in, MakePipe());
  ASSIGN_OR_RETURN(Pipe out, MakePipe());
  ASSIGN_OR_RETURN(Pipe err, MakePipe());
  options.stdin_fd = in.read.get();
  options.stdout_fd = out.write.get();
  options.stderr_fd = err.write.get();
  ASSIGN_OR_RETURN(Process process, Process::Start(options));
  in.read.Reset();
  out.write.Reset();
  err.write.Reset();
  CommandOutput output;
  Status pumped = Pump(input, limit).Run(process, std::move(in.write), std::move(out.read),
                                         std::move(err.read), &output, stop);
  ASSIGN_OR_RETURN(output.exit_code, process.Wait());
  RETURN_IF_ERROR(pumped);
  return output;
}

StatusOr<std::string> LookPath(std::string_view name) {
  if (name.find('/') != std::string_view::npos) {
    std::string path(name);
    if (::access(path.c_str(), X_OK) == 0) return path;
    return NotFoundError(
        StrCat("exec: \"", name, "\": stat ", name, ": no such file or directory"));
  }
  const char* path = ::getenv("PATH");
  for (std::string_view dir : StrSplit(path == nullptr ? "" : path, ':')) {
    std::string candidate = JoinPath(dir.empty() ? "." : dir, name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return NotFoundError(
      StrCat("exec: \"", name, "\": executable file not found in $PATH"));
}

}  // namespace kiln
