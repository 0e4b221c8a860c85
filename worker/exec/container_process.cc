#include "worker/exec/container_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>

#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/strings.h"
#include "worker/exec/process_control.h"
#include "worker/exec/runtime_check.h"

namespace kiln::worker::exec {
namespace {

constexpr int kKillRetryMillis = 50;

// This process's own. For runc with one processor for its Go runtime, unless somebody has said
// another number: what it does is done one after the other, and Go's threads that look for
// more to do cost a twentieth of it. No container sees the variable.
std::vector<std::string> RuntimeEnvironment(const std::string& binary) {
  std::vector<std::string> env = OwnEnvironment();
  if (IsRunc(binary) && ::getenv("GOMAXPROCS") == nullptr) env.emplace_back("GOMAXPROCS=1");
  return env;
}

StatusOr<int> CallRuntime(std::vector<std::string> argv) {
  ProcessOptions options;
  options.env = RuntimeEnvironment(argv[0]);
  options.argv = std::move(argv);
  ASSIGN_OR_RETURN(CommandOutput result, RunCommand(std::move(options), {}, {}));
  return result.exit_code;
}

// Pumps output and waits; one object per call.
class RuntimeLoop {
 public:
  RuntimeLoop(const RuntimeCall& call, const OutputFn& output, std::stop_token stop,
              StartGate* starting)
      : call_(call), output_(output), stop_(std::move(stop)), starting_(starting) {}

  StatusOr<RuntimeExit> Run() {
    wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (starting_ != nullptr) {
      ASSIGN_OR_RETURN(StartGate::Place place, starting_->Acquire(call_.pid_file, stop_));
      place_.emplace(std::move(place));
    }
    RETURN_IF_ERROR(Start());
    std::stop_callback on_stop(stop_, [this] {
      uint64_t one = 1;
      [[maybe_unused]] ssize_t ignored = ::write(wake_.get(), &one, sizeof one);
    });
    while (out_.valid() || err_.valid() || !exited_) {
      RETURN_IF_ERROR(Step());
    }
    if (control() != nullptr) control()->Ended();
    ASSIGN_OR_RETURN(exit_.code, process_->Wait());
    return exit_;
  }

 private:
  ProcessControl* control() const {
    return call_.attachment == nullptr ? nullptr : call_.attachment->control;
  }

  std::vector<std::string> Arguments() const {
    std::vector<std::string> argv = {call_.binary,   "--log", JoinPath(call_.bundle, "log.json"),
                                     "--log-format", "json"};
    if (call_.process_file.empty()) {
      argv.insert(argv.end(), {"run", "--bundle", call_.bundle});
      if (call_.cgroup != nullptr) argv.push_back("--keep");
    } else {
      argv.insert(argv.end(), {"exec", "--process", call_.process_file});
    }
    if (!call_.pid_file.empty()) argv.insert(argv.end(), {"--pid-file", call_.pid_file});
    argv.push_back(call_.id);
    return argv;
  }

  Status Start() {
    if (call_.attachment == nullptr) return StartPiped();
    ProcessOptions options;
    options.argv = Arguments();
    options.env = RuntimeEnvironment(call_.binary);
    options.stdin_fd = call_.attachment->stdin_fd;
    options.stdout_fd = call_.attachment->stdout_fd;
    options.stderr_fd = call_.attachment->stderr_fd;
    ASSIGN_OR_RETURN(Process process, Process::Start(options));
    process_.emplace(std::move(process));
    if (control() != nullptr) control()->Started(process_->pidfd());
    return OkStatus();
  }

  Status StartPiped() {
    ASSIGN_OR_RETURN(Pipe out, MakePipe());
    ASSIGN_OR_RETURN(Pipe err, MakePipe());
    ProcessOptions options;
    options.argv = Arguments();
    options.env = RuntimeEnvironment(call_.binary);
    options.stdout_fd = out.write.get();
    options.stderr_fd = err.write.get();
    ASSIGN_OR_RETURN(Process process, Process::Start(options));
    process_.emplace(std::move(process));
    out_ = std::move(out.read);
    err_ = std::move(err.read);
    return OkStatus();
  }

  Status Step() {
    pollfd fds[4] = {{out_.get(), POLLIN, 0},
                     {err_.get(), POLLIN, 0},
                     {exited_ ? -1 : process_->pidfd(), POLLIN, 0},
                     {exit_.stopped ? -1 : wake_.get(), POLLIN, 0}};
    int timeout = exit_.stopped && !killed_ && !exited_ ? kKillRetryMillis : -1;
    if (::poll(fds, 4, timeout) < 0 && errno != EINTR) {
      return ErrnoStatus(errno, "poll");
    }
    if (fds[0].revents != 0) Read(out_, 1);
    if (fds[1].revents != 0) Read(err_, 2);
    if (fds[2].revents != 0) exited_ = true;
    if (fds[3].revents != 0) exit_.stopped = true;
    if (exited_) place_.reset();
    if (exit_.stopped && !killed_ && !exited_) Kill();
    return OkStatus();
  }

  void Read(UniqueFd& fd, int stream) {
    char buffer[32768];
    ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count > 0) {
      output_(stream, {buffer, static_cast<size_t>(count)});
    } else if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
      fd.Reset();
    }
  }

  // Fails while the container is not there yet; then it is tried again.
  void Kill() {
    if (!call_.process_file.empty()) {
      killed_ = KillByFile();
      return;
    }
    StatusOr<int> code = CallRuntime({call_.binary, "--log", JoinPath(call_.bundle, "log.json"),
                                      "--log-format", "json", "kill", call_.id, "9"});
    killed_ = code.ok() && *code == 0;
  }

  bool KillByFile() const {
    StatusOr<std::string> text = ReadFile(call_.pid_file);
    int64_t pid = 0;
    if (!text.ok() || !ParseInt64(TrimSpace(*text), &pid) || pid <= 1) return false;
    ::kill(static_cast<pid_t>(pid), SIGKILL);
    return true;
  }

  const RuntimeCall& call_;
  const OutputFn& output_;
  std::stop_token stop_;
  StartGate* starting_;
  std::optional<StartGate::Place> place_;  // while it starts
  std::optional<Process> process_;
  UniqueFd out_, err_, wake_;
  RuntimeExit exit_;
  bool exited_ = false;
  bool killed_ = false;
};

}  // namespace

StatusOr<RuntimeExit> RunContainer(const RuntimeCall& call, const OutputFn& output,
                                   std::stop_token stop, StartGate* starting) {
  return RuntimeLoop(call, output, std::move(stop), starting).Run();
}

void DeleteContainer(const std::string& binary, const std::string& id) {
  StatusOr<int> code = CallRuntime({binary, "delete", "--force", id});
  if (!code.ok()) {
    log::Warning(StrCat("delete container ", id, ": ", code.status().message()));
  }
}

}  // namespace kiln::worker::exec
