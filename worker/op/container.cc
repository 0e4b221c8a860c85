#include "worker/op/container.h"

#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <csignal>

#include "base/process.h"
#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "worker/op/step_mounts.h"

namespace kiln::worker {
namespace {

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::string_view kWindowsPath =
    "c:\\Windows\\System32;c:\\Windows;C:\\Windows\\System32\\WindowsPowerShell\\v1.0";

void AddDefault(std::string_view name, std::string_view value, std::vector<std::string>* env) {
  for (const std::string& entry : *env) {
    if (entry.starts_with(StrCat(name, "="))) return;
  }
  env->push_back(StrCat(name, "=", value));
}

class NoProgress : public solver::ProgressSink {
 public:
  void Send(solver::ProgressEvent) override {}
};

// A job without a vertex: mounts only ask it for sessions and the stop token.
class ContainerJob : public solver::JobContext {
 public:
  explicit ContainerJob(std::string session) : session_(std::move(session)) {}
  std::vector<std::string> Sessions() const override { return {session_}; }
  std::vector<std::string> Builds() const override { return {}; }
  solver::VertexProgress& progress() override { return progress_; }
  std::stop_token stop() const override { return stop_source.get_token(); }
  int compatibility_version() const override { return 30; }
  StatusOr<cache::Ref> SubBuild(const llb::Edge&) override {
    return InternalError("a container has no sub-builds");
  }
  StatusOr<std::string> Memo(std::string_view,
                             const std::function<StatusOr<std::string>()>& compute) override {
    return compute();
  }

  std::stop_source stop_source;

 private:
  std::string session_;
  NoProgress sink_;
  solver::VertexProgress progress_{Digest(), sink_};
};

}  // namespace

ContainerProcess::~ContainerProcess() {
  stop_.request_stop();
  Wait().IgnoreError();
}

Status ContainerProcess::Wait() {
  std::lock_guard lock(waiting_);
  if (thread_.joinable()) thread_.join();
  return status_;
}

Status ContainerProcess::OpenTerminal(const ProcessRequest& request) {
  int master = -1, slave = -1;
  if (::openpty(&master, &slave, nullptr, nullptr, nullptr) != 0) {
    return ErrnoStatus(errno, "openpty");
  }
  terminal_ = UniqueFd(master);
  child_[0] = UniqueFd(slave);
  for (int fd : {master, slave}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (request.use_stdin) stdin_ = UniqueFd(::fcntl(master, F_DUPFD_CLOEXEC, 3));
  if (request.use_stdout) stdout_ = UniqueFd(::fcntl(master, F_DUPFD_CLOEXEC, 3));
  child_[1] = UniqueFd(::fcntl(slave, F_DUPFD_CLOEXEC, 3));
  child_[2] = UniqueFd(::fcntl(slave, F_DUPFD_CLOEXEC, 3));
  if (!request.use_stdin) child_[0].Reset();
  if (!request.use_stdout) child_[1].Reset();
  if (!request.use_stderr) child_[2].Reset();
  return OkStatus();
}

Status ContainerProcess::OpenStdio(const ProcessRequest& request) {
  if (request.tty) return OpenTerminal(request);
  if (request.use_stdin) {
    ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
    child_[0] = std::move(pipe.read);
    stdin_ = std::move(pipe.write);
  }
  if (request.use_stdout) {
    ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
    child_[1] = std::move(pipe.write);
    stdout_ = std::move(pipe.read);
  }
  if (request.use_stderr) {
    ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
    child_[2] = std::move(pipe.write);
    stderr_ = std::move(pipe.read);
  }
  return OkStatus();
}

void ContainerProcess::Resize(uint32_t rows, uint32_t columns) {
  if (!terminal_.valid()) return;
  winsize size = {};
  size.ws_row = static_cast<unsigned short>(rows);
  size.ws_col = static_cast<unsigned short>(columns);
  ::ioctl(terminal_.get(), TIOCSWINSZ, &size);
  // The runtime's process is no session leader of it, so the kernel does not tell it.
  control_.Signal(SIGWINCH);
}

// Readers of our ends see the end only after this.
void ContainerProcess::Finish(Status status) {
  status_ = std::move(status);
  ended_ = true;
  control_.Ended();
  for (UniqueFd& fd : child_) fd.Reset();
}

struct Container::State {
  State(const OpDeps& all_deps, ContainerRequest what)
      : deps(all_deps),
        request(std::move(what)),
        job(request.session),
        mounts(deps, *request.mounts, request.inputs, job) {}

  const OpDeps& deps;
  ContainerRequest request;
  ContainerJob job;
  StepMounts mounts;
  std::mutex mutex;  // guards what follows
  bool started = false;
  bool released = false;
  std::vector<std::shared_ptr<ContainerProcess>> processes;
  std::map<size_t, cache::LocalMount> local;
};

Container::Container(std::unique_ptr<State> state) : state_(std::move(state)) {}
Container::~Container() { Release().IgnoreError(); }

StatusOr<std::unique_ptr<Container>> Container::New(const OpDeps& deps, ContainerRequest request) {
  auto state = std::make_unique<State>(deps, std::move(request));
  RETURN_IF_ERROR(state->mounts.Prepare());
  return std::unique_ptr<Container>(new Container(std::move(state)));
}

Status Container::AddSecrets(const ProcessRequest& request, std::vector<std::string>* env) {
  for (const ProcessRequest::Secret& secret : request.secret_env) {
    if (secret.id.empty()) {
      return UnknownError(
          StrCat("secret ID missing for ", Quote(secret.name), " environment variable"));
    }
    std::string value;
    Status got = WithAnySession(*state_->deps.sessions, {state_->request.session},
                                [&](ClientSession& session) -> Status {
                                  ASSIGN_OR_RETURN(value, session.GetSecret(secret.id));
                                  return OkStatus();
                                });
    if (!got.ok() && !(IsNotFound(got) && secret.optional)) return got;
    env->push_back(StrCat(secret.name, "=", value));
  }
  return OkStatus();
}

Status Container::CheckEntitlements(
    bool insecure, const std::function<bool(std::string_view)>& granted) const {
  if (state_->request.network == exec::NetMode::kHost && !granted("network.host")) {
    return UnknownError("network.host is not allowed");
  }
  if (insecure && !granted("security.insecure")) {
    return UnknownError("security.insecure is not allowed");
  }
  return OkStatus();
}

StatusOr<std::shared_ptr<ContainerProcess>> Container::Start(const ProcessRequest& request) {
  auto process = std::make_shared<ContainerProcess>();
  exec::ProcessMeta& meta = process->meta_;
  meta.args = request.args;
  meta.env = request.env;
  meta.user = request.user;
  meta.cwd = request.cwd.empty() ? "/" : request.cwd;
  meta.tty = request.tty;
  meta.insecure = request.insecure;
  meta.remove_stubs_recursive = request.remove_stubs_recursive;
  meta.network = state_->request.network;
  meta.proxy = state_->request.proxy;
  meta.hostname = state_->request.hostname;
  meta.extra_hosts = state_->request.extra_hosts;
  AddDefault("PATH", state_->request.os == "windows" ? kWindowsPath : kDefaultPath, &meta.env);
  if (request.tty) AddDefault("TERM", "xterm", &meta.env);
  RETURN_IF_ERROR(AddSecrets(request, &meta.env));
  meta.secret_env = !request.secret_env.empty();
  RETURN_IF_ERROR(process->OpenStdio(request));
  {
    std::lock_guard lock(state_->mutex);
    if (state_->released) return CancelledError("context canceled");
    const bool first = !std::exchange(state_->started, true);
    if (!request.refused.ok()) {
      process->Finish(request.refused);
      return process;
    }
    state_->processes.push_back(process);
    process->thread_ = std::thread([this, raw = process.get(), first] { Run(*raw, first); });
  }
  process->control_.WaitStarted();
  return process;
}

void Container::Run(ContainerProcess& process, bool first) {
  exec::Attachment attachment{process.child_[0].get(), process.child_[1].get(),
                              process.child_[2].get(), &process.control_};
  const std::string& id = state_->request.id;
  std::stop_token stop = process.stop_.get_token();
  process.Finish(first ? state_->deps.executor->RunAttached(id, state_->mounts.root(),
                                                            state_->mounts.mounts(),
                                                            process.meta_, attachment, stop)
                       : state_->deps.executor->Exec(id, process.meta_, attachment, stop));
}

StatusOr<std::string> Container::MountedPath(size_t mount) {
  const auto available = static_cast<size_t>(state_->request.mounts->mounts_size());
  if (mount >= available) {
    return UnknownError(StrCat("mount index ", static_cast<int64_t>(mount),
                               " is out of bounds (", available, " available)"));
  }
  std::lock_guard lock(state_->mutex);
  if (state_->released) return CancelledError("context canceled");
  auto known = state_->local.find(mount);
  if (known == state_->local.end()) {
    ASSIGN_OR_RETURN(cache::MountLease lease, state_->mounts.MountForReading(mount));
    ASSIGN_OR_RETURN(auto opened,
                     cache::LocalMount::Open(std::move(lease), state_->deps.temp_dir));
    known = state_->local.emplace(mount, std::move(opened)).first;
  }
  return known->second.path();
}

Status Container::Release() {
  std::vector<std::shared_ptr<ContainerProcess>> processes;
  {
    std::lock_guard lock(state_->mutex);
    state_->released = true;
    processes.swap(state_->processes);
  }
  state_->job.stop_source.request_stop();
  // The first process takes all others with it.
  for (const auto& process : processes) process->stop_.request_stop();
  Status first;
  for (const auto& process : processes) {
    Status status = process->Wait();
    if (first.ok()) first = status;
  }
  std::lock_guard lock(state_->mutex);
  state_->local.clear();
  return first;
}

}  // namespace kiln::worker
