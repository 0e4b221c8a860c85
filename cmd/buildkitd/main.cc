// buildkitd: flags, lock, listeners, the object graph, then waiting for a signal.
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "api/tunnel/error_stack.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/process.h"
#include "base/strings.h"
#include "base/user_namespace.h"
#include "cmd/buildkitd/debug_server.h"
#include "cmd/buildkitd/flags.h"
#include "cmd/buildkitd/listeners.h"
#include "cmd/buildkitd/root_lock.h"
#include "cmd/buildkitd/rootless_check.h"
#include "cmd/buildkitd/service_notify.h"
#include "cmd/buildkitd/thread_stacks.h"
#include "cmd/buildkitd/user_defaults.h"
#include "cmd/buildkitd/version.h"
#include "cmd/buildkitd/wire.h"
#include "cmd/buildkitd/worker_facts.h"

namespace kiln::buildkitd {
namespace {

constexpr int kGraceSeconds = 10;

Status SetUpLog(const CommandLine& line) {
  const Config& config = line.config;
  if (config.log_format == "json") {
    log::SetFormat(log::Format::kJson);
  } else if (!config.log_format.empty() && config.log_format != "text") {
    return InvalidArgumentError(StrCat("unsupported log type ", Quote(config.log_format)));
  }
  log::Level level = log::Level::kInfo;
  if (config.debug) level = log::Level::kDebug;
  if (config.trace) level = log::Level::kTrace;
  if (!config.log_level.empty() && !log::ParseLevel(config.log_level, &level)) {
    return InvalidArgumentError(StrCat("unsupported log level: not a valid logrus Level: ",
                                       Quote(config.log_level)));
  }
  log::SetLevel(level);
  for (const std::string& warning : line.warnings) log::Warning(warning);
  return OkStatus();
}

// Checked late, as the reference does: the state folder is there by then.
Status CheckEntitlementNames(const Config& config) {
  for (const std::string& name : config.entitlements) {
    if (name != "network.host" && name != "security.insecure" && name != "device") {
      return InvalidArgumentError(StrCat("invalid entitlement : ", name));
    }
  }
  return OkStatus();
}

// The signals that end the daemon, blocked in every thread and waited for here.
sigset_t EndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// Before anything fails for want of it.
void TellWhatRootlessLacks(const Config& config) {
  std::vector<std::string> missing;
  if (geteuid() != 0) {
    missing = MissingForNamespace(CurrentRootlessUser());
  } else if (InUserNamespace() && config.oci.rootless) {
    missing = MissingInNamespace("/", !config.oci.no_process_sandbox);
  }
  if (config.oci.no_process_sandbox) {
    log::Warning("NoProcessSandbox is enabled: steps can kill, and perhaps trace, the processes "
                 "around the daemon. It is meant for a daemon in a container of an ordinary user");
  }
  for (const std::string& what : missing) log::Warning(StrCat("rootless self-test: ", what));
}

Status RunDaemon(const Config& config, const sigset_t& end) {
  TellWhatRootlessLacks(config);
  if (geteuid() != 0) return PermissionDeniedError(std::string(kNotMappedRoot));
  if (UsesUserDefaults()) MakeUserRuntimeDir();
  std::unique_ptr<DebugServer> debug;
  if (!config.debug_address.empty()) {
    PrepareThreadStacks();
    ASSIGN_OR_RETURN(debug, DebugServer::Open(config.debug_address));
  }
  ASSIGN_OR_RETURN(RootLock lock, RootLock::Take(config.root));
  ASSIGN_OR_RETURN(Listeners listeners, Listeners::Open(config));
  Config settled = config;
  RETURN_IF_ERROR(SettleWorkers(&settled));
  ASSIGN_OR_RETURN(auto daemon, Daemon::Open(settled));
  RETURN_IF_ERROR(CheckEntitlementNames(config));
  listeners.Prepare(daemon->server());
  RETURN_IF_ERROR(daemon->server().Start());
  RETURN_IF_ERROR(listeners.Serve(daemon->server()));
  if (debug != nullptr) debug->Show(daemon->debug_sources());
  NotifyService("READY=1");

  int signal = 0;
  sigwait(&end, &signal);
  log::Info("stopping server");
  NotifyService("STOPPING=1");
  // A build that does not end must not keep the daemon: state is safe at any instant.
  alarm(kGraceSeconds);
  if (debug != nullptr) debug->Forget();
  daemon.reset();
  return CancelledError("got SIGTERM/SIGINT, forcing shutdown");
}

// The C library keeps two signals for itself, so that posix_spawn cannot reset them for a
// child. If they came ignored, steps would inherit that.
void ResetHiddenSignals() {
  struct KernelAction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)();
    unsigned long mask;
  };
  for (int number : {32, 33}) {
    KernelAction now{}, usual{};
    constexpr size_t kMaskBytes = sizeof now.mask;
    if (syscall(SYS_rt_sigaction, number, nullptr, &now, kMaskBytes) != 0) continue;
    if (now.handler != SIG_IGN) continue;
    syscall(SYS_rt_sigaction, number, &usual, nullptr, kMaskBytes);
  }
}

std::string AbsolutePath(const std::string& path) {
  if (path.starts_with('/')) return path;
  char* here = getcwd(nullptr, 0);
  std::string out = StrCat(here == nullptr ? "" : here, "/", path);
  std::free(here);
  return out;
}

int Main(int argc, char** argv) {
  api::SetStackVersion(Version(), VersionRevision());
  // Modes come from clients and images; a mask would change them.
  umask(0);
  signal(SIGPIPE, SIG_IGN);
  ResetHiddenSignals();
  sigset_t end = EndSignals();
  pthread_sigmask(SIG_BLOCK, &end, nullptr);
  auto line = ParseCommandLine(argc, argv);
  Status status = line.ok() ? OkStatus() : line.status();
  if (status.ok() && line->done) return 0;
  if (status.ok()) status = SetUpLog(*line);
  if (status.ok()) {
    line->config.root = AbsolutePath(line->config.root);
    // Who looks for a fault needs the memory, and has said so.
    if (!line->config.debug) KeepMemoryOutOfCores();
    status = RunDaemon(line->config, end);
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "buildkitd: %s\n", status.message().c_str());
  return 1;
}

}  // namespace
}  // namespace kiln::buildkitd

int main(int argc, char** argv) {
  kiln::KeepFreedMemory();
  return kiln::buildkitd::Main(argc, argv);
}
