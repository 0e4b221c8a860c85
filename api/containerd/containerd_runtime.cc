// One task per container: create, wait, start, pump output, delete.
#include "api/containerd/containerd_runtime.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <mutex>
#include <set>
#include <thread>

#include "api/containerd/containerd_client.h"
#include "api/containerd/lost_shims.h"
#include "api/containerd/task_io.h"
#include "api/proto/containerd/runc_options.pb.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "worker/exec/process_control.h"
#include "worker/exec/running_containers.h"

namespace kiln::api {
namespace {

using worker::exec::OutputFn;
using worker::exec::RuntimeCall;
using worker::exec::RuntimeExit;

// How long the output of a process may be silent whose containerd is gone.
constexpr int kOrphanMillis = 2000;

void Wake(int eventfd) {
  uint64_t one = 1;
  [[maybe_unused]] ssize_t ignored = ::write(eventfd, &one, sizeof one);
}

// One process of a container: its first, or one more (with an exec id).
class TaskProcess {
 public:
  TaskProcess(ContainerdClient& client, const RuntimeCall& call, TaskIo& io, bool terminal)
      : client_(client), call_(call), io_(io), terminal_(terminal) {
    if (!call.process_file.empty()) exec_id_ = NewId();
    exited_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
    stopped_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  }
  ~TaskProcess() {
    wait_context_.TryCancel();
    if (waiter_.joinable()) waiter_.join();
    if (created_) Remove();
  }
  TaskProcess(const TaskProcess&) = delete;
  TaskProcess& operator=(const TaskProcess&) = delete;

  Status Create(const std::string& runtime_path) {
    RETURN_IF_ERROR(exec_id_.empty() ? CreateTask(runtime_path) : CreateExec());
    created_ = true;
    return OkStatus();
  }

  // Blocks until the process is gone and has nothing more to say.
  StatusOr<RuntimeExit> Run(const OutputFn& output, std::stop_token stop) {
    waiter_ = std::thread([this] { Wait(); });
    RETURN_IF_ERROR(Start());
    std::stop_callback on_stop(stop, [this] { Wake(stopped_.get()); });
    while (!ended_ || (io_.open() && !lost_)) RETURN_IF_ERROR(Step(output));
    if (control() != nullptr) control()->Ended();
    // The task holds the cgroup until it is deleted.
    if (exec_id_.empty() && call_.cgroup != nullptr) call_.on_end();
    if (!wait_status_.ok()) return Annotate(wait_status_, "failure waiting for process");
    exit_.code = static_cast<int>(response_.exit_status());
    return exit_;
  }

 private:
  worker::exec::ProcessControl* control() const {
    return call_.attachment == nullptr ? nullptr : call_.attachment->control;
  }

  Status CreateTask(const std::string& runtime_path) {
    ctd_tasks::CreateTaskRequest request;
    request.set_container_id(call_.id);
    auto* rootfs = request.add_rootfs();
    rootfs->set_type("bind");
    rootfs->set_source(JoinPath(call_.bundle, "rootfs"));
    rootfs->add_options("rbind");
    request.set_stdin(io_.stdin_path());
    request.set_stdout(io_.stdout_path());
    request.set_stderr(io_.stderr_path());
    request.set_terminal(terminal_);
    request.set_runtime_path(runtime_path);
    ctd_tasks::CreateTaskResponse response;
    return client_.Call(client_.tasks(), &ctd_tasks::Tasks::Stub::Create, request, &response);
  }

  Status CreateExec() {
    ASSIGN_OR_RETURN(std::string process, ReadFile(call_.process_file));
    ctd_tasks::ExecProcessRequest request;
    request.set_container_id(call_.id);
    request.set_exec_id(exec_id_);
    request.set_stdin(io_.stdin_path());
    request.set_stdout(io_.stdout_path());
    request.set_stderr(io_.stderr_path());
    request.set_terminal(terminal_);
    *request.mutable_spec() = RuntimeSpecAny("Process", std::move(process));
    google::protobuf::Empty response;
    return client_.Call(client_.tasks(), &ctd_tasks::Tasks::Stub::Exec, request, &response);
  }

  // Asked before the start, so that no exit is missed.
  void Wait() {
    ctd_tasks::WaitRequest request;
    request.set_container_id(call_.id);
    request.set_exec_id(exec_id_);
    wait_status_ = client_.CallIn(wait_context_, client_.tasks(), &ctd_tasks::Tasks::Stub::Wait,
                                  request, &response_);
    Wake(exited_.get());
  }

  Status Start() {
    ctd_tasks::StartRequest request;
    request.set_container_id(call_.id);
    request.set_exec_id(exec_id_);
    ctd_tasks::StartResponse response;
    RETURN_IF_ERROR(
        client_.Call(client_.tasks(), &ctd_tasks::Tasks::Stub::Start, request, &response));
    if (!io_.stdin_path().empty()) CloseStdin();
    if (!call_.pid_file.empty()) {
      RETURN_IF_ERROR(WriteFileAtomic(call_.pid_file, std::to_string(response.pid())));
    }
    pidfd_ = UniqueFd(
        static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(response.pid()), 0)));
    if (control() != nullptr) {
      control()->Started([this](int signal) {
        if (terminal_ && signal == SIGWINCH) {
          Resize();
        } else {
          Send(signal);
        }
      });
    }
    return OkStatus();
  }

  void Send(int signal) { ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0); }

  // The terminal of the process is the shim's; ours has the size that it should have.
  void Resize() {
    winsize size = {};
    const worker::exec::Attachment& ends = *call_.attachment;
    bool known = false;
    for (int fd : {ends.stdin_fd, ends.stdout_fd, ends.stderr_fd}) {
      known = known || (fd >= 0 && ::ioctl(fd, TIOCGWINSZ, &size) == 0);
    }
    if (!known) return;
    ctd_tasks::ResizePtyRequest request;
    request.set_container_id(call_.id);
    request.set_exec_id(exec_id_);
    request.set_width(size.ws_col);
    request.set_height(size.ws_row);
    google::protobuf::Empty response;
    Status resized =
        client_.Call(client_.tasks(), &ctd_tasks::Tasks::Stub::ResizePty, request, &response);
    if (!resized.ok()) log::Warning(StrCat("resize ", call_.id, ": ", resized.message()));
  }

  // The shim lets go of its own end: the process sees the end of input when ours closes.
  void CloseStdin() {
    ctd_tasks::CloseIORequest request;
    request.set_container_id(call_.id);
    request.set_exec_id(exec_id_);
    request.set_stdin(true);
    google::protobuf::Empty response;
    client_.Call(client_.tasks(), &ctd_tasks::Tasks::Stub::CloseIO, request, &response)
        .IgnoreError();
  }

  Status Step(const OutputFn& output) {
    pollfd fds[4] = {{io_.out(), POLLIN, 0},
                     {io_.err(), POLLIN, 0},
                     {ended_ ? -1 : exited_.get(), POLLIN, 0},
                     {exit_.stopped ? -1 : stopped_.get(), POLLIN, 0}};
    const bool orphaned = ended_ && !wait_status_.ok();
    const int events = ::poll(fds, 4, orphaned ? kOrphanMillis : -1);
    if (events < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (events == 0) lost_ = true;
    for (int stream : {1, 2}) {
      if (fds[stream - 1].revents != 0) io_.Read(stream, output);
    }
    if (fds[2].revents != 0) {
      ended_ = true;
      // Containerd is gone, its shim and our process are not.
      if (!wait_status_.ok()) Send(SIGKILL);
    }
    if (fds[3].revents != 0) {
      exit_.stopped = true;
      Kill();
    }
    return OkStatus();
  }

  void Kill() {
    ctd_tasks::KillRequest request;
    request.set_container_id(call_.id);
    request.set_exec_id(exec_id_);
    request.set_signal(SIGKILL);
    google::protobuf::Empty response;
    Status killed =
        client_.Call(client_.tasks(), &ctd_tasks::Tasks::Stub::Kill, request, &response);
    if (!killed.ok() && !IsNotFound(killed)) {
      log::Warning(StrCat("kill ", call_.id, ": ", killed.message()));
    }
  }

  void Remove() {
    if (!ended_) Kill();
    ctd_tasks::DeleteResponse response;
    Status removed;
    if (exec_id_.empty()) {
      ctd_tasks::DeleteTaskRequest request;
      request.set_container_id(call_.id);
      removed =
          client_.Call(client_.tasks(), &ctd_tasks::Tasks::Stub::Delete, request, &response);
    } else {
      ctd_tasks::DeleteProcessRequest request;
      request.set_container_id(call_.id);
      request.set_exec_id(exec_id_);
      removed = client_.Call(client_.tasks(), &ctd_tasks::Tasks::Stub::DeleteProcess, request,
                             &response);
    }
    if (!removed.ok() && !IsNotFound(removed)) {
      log::Warning(StrCat("failed to delete task ", call_.id, ": ", removed.message()));
    }
  }

  ContainerdClient& client_;
  const RuntimeCall& call_;
  TaskIo& io_;
  bool terminal_;
  std::string exec_id_;
  bool created_ = false;
  UniqueFd exited_, stopped_, pidfd_;
  grpc::ClientContext wait_context_;
  ctd_tasks::WaitResponse response_;  // the waiter's until `exited_` is seen
  Status wait_status_;
  bool ended_ = false;
  bool lost_ = false;  // nobody tells what else the process has to say
  RuntimeExit exit_;
  std::thread waiter_;
};

class ContainerdRuntime : public worker::exec::ContainerRuntime {
 public:
  ContainerdRuntime(ContainerdOptions options, google::protobuf::Any runtime_options)
      : options_(std::move(options)),
        runtime_options_(std::move(runtime_options)),
        client_(options_.address, options_.name_space) {}

  StatusOr<std::string> Uuid() {
    ctd_introspection::ServerResponse response;
    RETURN_IF_ERROR(client_.Call(client_.introspection(),
                                 &ctd_introspection::Introspection::Stub::Server,
                                 google::protobuf::Empty(), &response));
    return response.uuid();
  }

  StatusOr<RuntimeExit> Run(const RuntimeCall& call, const OutputFn& output,
                            std::stop_token stop) override {
    const bool terminal = call.attachment != nullptr && call.terminal;
    const std::string base = call.process_file.empty()
                                 ? JoinPath(call.bundle, "io")
                                 : JoinPath(call.bundle, StrCat("io-", NewId()));
    ASSIGN_OR_RETURN(std::unique_ptr<TaskIo> io,
                     TaskIo::Make(base, call.attachment, terminal));
    if (!call.process_file.empty()) return RunProcess(call, *io, terminal, output, stop);
    RETURN_IF_ERROR(client_.Connect());
    DeleteForgotten();
    RETURN_IF_ERROR(CreateContainer(call));
    StatusOr<RuntimeExit> exit = RunProcess(call, *io, terminal, output, stop);
    Status removed = DeleteContainer(call.id);
    if (exit.ok() && !removed.ok()) {
      return Annotate(removed, StrCat("failed to delete container ", call.id));
    }
    return exit;
  }

  void Delete(const std::string& id) override {
    ctd_tasks::KillRequest kill;
    kill.set_container_id(id);
    kill.set_signal(SIGKILL);
    kill.set_all(true);
    google::protobuf::Empty nothing;
    ctd_tasks::Tasks::Stub& tasks = client_.tasks();
    if (client_.Call(tasks, &ctd_tasks::Tasks::Stub::Kill, kill, &nothing).ok()) {
      ctd_tasks::WaitRequest wait;
      wait.set_container_id(id);
      ctd_tasks::WaitResponse waited;
      client_.Call(tasks, &ctd_tasks::Tasks::Stub::Wait, wait, &waited).IgnoreError();
    }
    ctd_tasks::DeleteTaskRequest task;
    task.set_container_id(id);
    ctd_tasks::DeleteResponse deleted;
    const Status ended = client_.Call(tasks, &ctd_tasks::Tasks::Stub::Delete, task, &deleted);
    if (Status removed = DeleteContainer(id); !removed.ok()) {
      std::lock_guard lock(mutex_);
      forgotten_.insert(id);
    } else if (IsNotFound(ended)) {
      EndLostShim(options_.name_space, id);
    }
  }

  // Relative to containerd's own bundle, where it mounts the root again.
  std::string SpecRoot(const std::string&) const override { return "rootfs"; }

 private:
  // What could not be deleted when its step ended, as containerd was away.
  void DeleteForgotten() {
    std::set<std::string> ids;
    {
      std::lock_guard lock(mutex_);
      ids.swap(forgotten_);
    }
    for (const std::string& id : ids) Delete(id);
  }

  Status CreateContainer(const RuntimeCall& call) {
    ASSIGN_OR_RETURN(std::string spec, ReadFile(JoinPath(call.bundle, "config.json")));
    ctd_containers::CreateContainerRequest request;
    auto* container = request.mutable_container();
    container->set_id(call.id);
    container->mutable_runtime()->set_name(options_.runtime_name);
    *container->mutable_runtime()->mutable_options() = runtime_options_;
    *container->mutable_spec() = RuntimeSpecAny("Spec", std::move(spec));
    ctd_containers::CreateContainerResponse response;
    return client_.Call(client_.containers(), &ctd_containers::Containers::Stub::Create, request,
                        &response);
  }

  Status DeleteContainer(const std::string& id) {
    ctd_containers::DeleteContainerRequest request;
    request.set_id(id);
    google::protobuf::Empty response;
    Status status = client_.Call(client_.containers(), &ctd_containers::Containers::Stub::Delete,
                                 request, &response);
    return IsNotFound(status) ? OkStatus() : status;
  }

  StatusOr<RuntimeExit> RunProcess(const RuntimeCall& call, TaskIo& io, bool terminal,
                                   const OutputFn& output, std::stop_token stop) {
    TaskProcess process(client_, call, io, terminal);
    RETURN_IF_ERROR(process.Create(options_.runtime_path));
    return process.Run(output, std::move(stop));
  }

  ContainerdOptions options_;
  google::protobuf::Any runtime_options_;
  ContainerdClient client_;
  std::mutex mutex_;
  std::set<std::string> forgotten_;  // guarded by mutex_
};

// Names as in Go's struct, in any case; numbers and booleans as text.
StatusOr<google::protobuf::Any> RuncOptions(const std::map<std::string, std::string>& options) {
  ::containerd::runc::v1::Options out;
  for (const auto& [name, value] : options) {
    const std::string key = ToLower(name);
    bool on = false;
    int64_t number = 0;
    ParseBool(value, &on);
    ParseInt64(value, &number);
    if (key == "binaryname") {
      out.set_binary_name(value);
    } else if (key == "root") {
      out.set_root(value);
    } else if (key == "shimcgroup") {
      out.set_shim_cgroup(value);
    } else if (key == "systemdcgroup") {
      out.set_systemd_cgroup(on);
    } else if (key == "nopivotroot") {
      out.set_no_pivot_root(on);
    } else if (key == "nonewkeyring") {
      out.set_no_new_keyring(on);
    } else if (key == "iouid") {
      out.set_io_uid(static_cast<uint32_t>(number));
    } else if (key == "iogid") {
      out.set_io_gid(static_cast<uint32_t>(number));
    } else if (key == "criuimagepath") {
      out.set_criu_image_path(value);
    } else if (key == "criuworkpath") {
      out.set_criu_work_path(value);
    } else {
      log::Warning(StrCat("unknown option of the containerd runtime: ", name));
    }
  }
  google::protobuf::Any any;
  any.set_type_url("containerd.runc.v1.Options");
  any.set_value(out.SerializeAsString());
  return any;
}

}  // namespace

StatusOr<Containerd> OpenContainerd(const ContainerdOptions& options) {
  ASSIGN_OR_RETURN(google::protobuf::Any runtime, RuncOptions(options.runtime_options));
  auto opened = std::make_unique<ContainerdRuntime>(options, std::move(runtime));
  StatusOr<std::string> uuid = opened->Uuid();
  if (!uuid.ok()) {
    return Annotate(uuid.status(), StrCat("failed to connect to containerd at ", options.address));
  }
  return Containerd{std::move(opened), *std::move(uuid)};
}

}  // namespace kiln::api
