// ExecProcess: one stream, any number of processes in any of the containers.
//
// The caller's thread reads messages and writes to stdins; each process has a thread
// that waits for it and one per output. Messages of a process come in the order that
// clients rely on: Started, its output, Exit, the ends of its outputs, Done.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include <cerrno>
#include <thread>

#include "api/proto/gateway.pb.h"
#include "api/proto/status.pb.h"
#include "api/server/bridge_calls.h"
#include "api/tunnel/grpc_status.h"
#include "base/strings.h"
#include "worker/op/container.h"

namespace kiln::api {
namespace {

using gateway::ExecMessage;
using worker::ContainerProcess;

constexpr size_t kChunk = 32 << 10;
constexpr int kWriteLook = 50;              // ms between looks at what else may have ended
constexpr uint32_t kUnknownExitCode = 255;  // no exit code is known

// "TERM" to 15; 0 for names that there are not.
int SignalByName(std::string_view name) {
  static constexpr std::pair<std::string_view, int> kOthers[] = {
      {"CLD", SIGCHLD}, {"IO", SIGIO}, {"IOT", SIGABRT}, {"RTMIN", 34}, {"RTMAX", 64},
      {"UNUSED", SIGSYS}};
  for (const auto& [other, number] : kOthers) {
    if (name == other) return number;
  }
  for (int number = 1; number < 32; ++number) {
    const char* known = ::sigabbrev_np(number);
    if (known != nullptr && name == known) return number;
  }
  int64_t offset = 0;
  if (name.starts_with("RTMIN+") && ParseInt64(name.substr(6), &offset) && offset >= 0 &&
      offset <= 15) {
    return 34 + static_cast<int>(offset);
  }
  if (name.starts_with("RTMAX-") && ParseInt64(name.substr(6), &offset) && offset >= 0 &&
      offset <= 14) {
    return 64 - static_cast<int>(offset);
  }
  return 0;
}

worker::ProcessRequest ProcessRequestOf(const gateway::InitMessage& init) {
  worker::ProcessRequest request;
  request.args.assign(init.meta().args().begin(), init.meta().args().end());
  request.env.assign(init.meta().env().begin(), init.meta().env().end());
  request.user = init.meta().user();
  request.cwd = init.meta().cwd();
  request.tty = init.tty();
  request.insecure = init.security() == pb::INSECURE;
  request.remove_stubs_recursive = init.meta().removemountstubsrecursive();
  for (const pb::SecretEnv& secret : init.secretenv()) {
    request.secret_env.push_back({secret.name(), secret.id(), secret.optional()});
  }
  for (uint32_t fd : init.fds()) {
    request.use_stdin |= fd == 0;
    request.use_stdout |= fd == 1;
    request.use_stderr |= fd == 2;
  }
  return request;
}

class ExecSession {
 public:
  ExecSession(ClientFrontend& frontend, ExecStream& stream, std::stop_token stop)
      : frontend_(frontend), stream_(stream), stop_(std::move(stop)) {}

  Status Run() {
    Status status = Messages();
    // The client is gone or broke the rules: nobody is left to hear of the processes.
    const bool kill = !status.ok() || stop_.stop_requested();
    for (auto& [id, live] : live_) {
      if (kill) live.process->Kill();
      live.process->CloseStdin();
    }
    for (auto& [id, live] : live_) live.follower.join();
    return status;
  }

 private:
  struct Live {
    std::shared_ptr<ContainerProcess> process;
    std::thread follower;
    bool stdin_ended = false;
  };

  Status Messages() {
    ExecMessage message;
    while (stream_.Read(&message)) {
      const std::string& id = message.processid();
      if (id.empty()) return InvalidArgumentError("ProcessID required");
      auto known = live_.find(id);
      if (message.has_init()) {
        if (known != live_.end()) {
          return AlreadyExistsError(StrCat("Process ", id, " already exists"));
        }
        RETURN_IF_ERROR(StartProcess(id, message.init()));
      } else if (message.has_file() || message.has_resize() || message.has_signal()) {
        if (known == live_.end()) {
          return NotFoundError(StrCat("IO for process ", Quote(id), " not found"));
        }
        RETURN_IF_ERROR(Pass(known->second, message));
      }
    }
    return OkStatus();
  }

  Status StartProcess(const std::string& id, const gateway::InitMessage& init) {
    auto container = frontend_.containers().Find(init.containerid());
    if (container == nullptr) {
      return NotFoundError(StrCat("container ", Quote(init.containerid()),
                                  " previously released or not created"));
    }
    worker::ProcessRequest request = ProcessRequestOf(init);
    request.refused = container->CheckEntitlements(
        request.insecure, [this](std::string_view name) {
          return frontend_.build()->entitlements.contains(name);
        });
    if (!pb::SecurityMode_IsValid(init.security())) {
      request.refused =
          UnknownError(StrCat("invalid security mode ", static_cast<int>(init.security())));
    }
    ASSIGN_OR_RETURN(auto process, container->Start(request));
    if (process->stdin_fd() >= 0) {
      ::fcntl(process->stdin_fd(), F_SETFL, ::fcntl(process->stdin_fd(), F_GETFL) | O_NONBLOCK);
    }
    ExecMessage started;
    started.set_processid(id);
    started.mutable_started();
    stream_.Write(std::move(started));
    Live& live = live_[id];
    live.process = process;
    live.follower = std::thread([this, id, process] { Follow(id, *process); });
    return OkStatus();
  }

  Status Pass(Live& live, const ExecMessage& message) {
    if (message.has_resize()) {
      live.process->Resize(message.resize().rows(), message.resize().cols());
      return OkStatus();
    }
    if (message.has_signal()) {
      int number = SignalByName(message.signal().name());
      if (number == 0) {
        return InvalidArgumentError(StrCat("Unknown signal ", message.signal().name()));
      }
      live.process->Signal(number);
      return OkStatus();
    }
    const gateway::FdMessage& file = message.file();
    if (file.fd() != 0 || live.stdin_ended || live.process->stdin_fd() < 0) {
      if (live.process->ended()) return OkStatus();
      return OutOfRangeError(StrCat("fd ", file.fd(), " unavailable to write"));
    }
    Feed(*live.process, file.data());
    if (file.eof()) {
      live.stdin_ended = true;
      live.process->CloseStdin();
    }
    return OkStatus();
  }

  // Waits for room, but not beyond the end of the process or of the client.
  void Feed(ContainerProcess& process, std::string_view data) {
    while (!data.empty() && !process.ended() && !stop_.stop_requested()) {
      ssize_t count = ::write(process.stdin_fd(), data.data(), data.size());
      if (count > 0) {
        data.remove_prefix(static_cast<size_t>(count));
      } else if (errno == EAGAIN) {
        pollfd wait{process.stdin_fd(), POLLOUT, 0};
        ::poll(&wait, 1, kWriteLook);
      } else if (errno != EINTR) {
        return;  // nobody reads it any more
      }
    }
  }

  void Follow(const std::string& id, ContainerProcess& process) {
    Status status;
    {
      std::jthread out([&] { Pump(id, 1, process.stdout_fd()); });
      std::jthread err([&] { Pump(id, 2, process.stderr_fd()); });
      status = process.Wait();
    }
    SendExit(id, status);
    for (auto [number, fd] : {std::pair{1u, process.stdout_fd()}, {2u, process.stderr_fd()}}) {
      if (fd < 0) continue;
      ExecMessage end;
      end.set_processid(id);
      end.mutable_file()->set_fd(number);
      end.mutable_file()->set_eof(true);
      stream_.Write(std::move(end));
    }
    ExecMessage done;
    done.set_processid(id);
    done.mutable_done();
    stream_.Write(std::move(done));
  }

  void Pump(const std::string& id, uint32_t number, int fd) {
    std::string buffer(kChunk, '\0');
    while (fd >= 0) {
      ssize_t count = ::read(fd, buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) {  // a terminal shares its flags with stdin
        pollfd wait{fd, POLLIN, 0};
        ::poll(&wait, 1, -1);
        continue;
      }
      if (count <= 0) return;  // EIO is how a terminal ends
      ExecMessage message;
      message.set_processid(id);
      message.mutable_file()->set_fd(number);
      message.mutable_file()->set_data(buffer.data(), static_cast<size_t>(count));
      stream_.Write(std::move(message));
    }
  }

  void SendExit(const std::string& id, const Status& status) {
    ExecMessage message;
    message.set_processid(id);
    gateway::ExitMessage* exit = message.mutable_exit();
    if (!status.ok()) {
      exit->set_code(worker::exec::ExitCodeOf(status).value_or(kUnknownExitCode));
      ToRpcStatus(status, exit->mutable_error());
    }
    stream_.Write(std::move(message));
  }

  ClientFrontend& frontend_;
  ExecStream& stream_;
  std::stop_token stop_;
  std::map<std::string, Live> live_;
};

}  // namespace

Status ExecProcess(ClientFrontend& frontend, ExecStream& stream, std::stop_token stop) {
  return ExecSession(frontend, stream, std::move(stop)).Run();
}

}  // namespace kiln::api
