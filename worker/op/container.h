// Container: a container that a client of the gateway made, to run processes in.
//
// Its mounts are those of an ExecOp that nobody caches. The first process starts
// the container, later ones join it; all end with Release.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"
#include "cache/mount.h"
#include "cache/ref.h"
#include "worker/exec/executor.h"
#include "worker/exec/process_control.h"
#include "worker/op/op_deps.h"

namespace pb {
class ExecOp;
}

namespace kiln::worker {

struct ContainerRequest {
  std::string id;
  std::shared_ptr<const pb::ExecOp> mounts;  // only its mounts count; inputs index `inputs`
  std::vector<cache::Ref> inputs;
  exec::NetMode network = exec::NetMode::kDefault;
  std::shared_ptr<const proxy::ProxyConfig> proxy = {};  // null: without
  std::string hostname;
  std::vector<exec::HostIp> extra_hosts;
  std::string os = "linux";                  // which PATH processes get by default
  std::string session;                       // for secrets and agents
};

struct ProcessRequest {
  std::vector<std::string> args;
  std::vector<std::string> env;
  struct Secret {
    std::string name, id;
    bool optional = false;
  };
  std::vector<Secret> secret_env;
  std::string user;
  std::string cwd;
  bool tty = false;
  bool insecure = false;
  bool remove_stubs_recursive = false;
  bool use_stdin = false, use_stdout = false, use_stderr = false;
  Status refused;  // if not OK, the process ends with this and never starts
};

// One process. Thread-safe. Our ends of its descriptors; -1 where it has none. With a
// terminal the first two are the same thing and reading ends with EIO.
class ContainerProcess {
 public:
  ~ContainerProcess();
  int stdin_fd() const { return stdin_.get(); }
  int stdout_fd() const { return stdout_.get(); }
  int stderr_fd() const { return stderr_.get(); }
  void CloseStdin() { stdin_.Reset(); }  // only by the thread that writes
  void Signal(int signal) { control_.Signal(signal); }
  // SIGKILL, through the runtime; returns at once.
  void Kill() { stop_.request_stop(); }
  void Resize(uint32_t rows, uint32_t columns);
  // Blocks until the end; the outcome with its exit code as a detail.
  Status Wait();
  bool ended() const { return ended_; }

 private:
  friend class Container;
  Status OpenStdio(const ProcessRequest& request);
  Status OpenTerminal(const ProcessRequest& request);
  void Finish(Status status);

  exec::ProcessControl control_;
  UniqueFd stdin_, stdout_, stderr_;
  UniqueFd terminal_;
  UniqueFd child_[3];
  exec::ProcessMeta meta_;
  Status status_;
  std::atomic<bool> ended_ = false;
  std::stop_source stop_;
  std::thread thread_;
  std::mutex waiting_;
};

// Thread-safe.
class Container {
 public:
  // Makes records and asks the client; mounts nothing yet. `deps` outlives it.
  static StatusOr<std::unique_ptr<Container>> New(const OpDeps& deps, ContainerRequest request);
  ~Container();  // Release

  // "network.host is not allowed" and the like, for a process that needs what `granted`
  // does not have.
  Status CheckEntitlements(bool insecure,
                           const std::function<bool(std::string_view)>& granted) const;
  // Returns when the process has started or could not be. Fails for secrets that the
  // client does not have, and after Release.
  StatusOr<std::shared_ptr<ContainerProcess>> Start(const ProcessRequest& request);
  // A mount of the container as a folder of the host, for as long as the container is.
  // "mount index X is out of bounds (Y available)".
  StatusOr<std::string> MountedPath(size_t mount);
  // Kills all processes and waits for them; removes all that the container had.
  Status Release();

 private:
  struct State;
  explicit Container(std::unique_ptr<State> state);
  Status AddSecrets(const ProcessRequest& request, std::vector<std::string>* env);
  void Run(ContainerProcess& process, bool first);
  std::unique_ptr<State> state_;
};

}  // namespace kiln::worker
