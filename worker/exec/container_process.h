// One `runc run` or `runc exec` from start to end: its output, its exit code, its
// death on request.
#pragma once

#include <stop_token>
#include <string>

#include "base/status.h"
#include "worker/exec/executor.h"
#include "worker/exec/start_gate.h"
#include "worker/exec/step_cgroup.h"

namespace kiln::worker::exec {

struct RuntimeCall {
  std::string binary;
  std::string bundle;
  std::string id;
  std::string pid_file = {};       // written by the runtime once the process runs
  std::string process_file = {};   // set: this process is started in the running container
  const Attachment* attachment = nullptr;  // set: no output comes
  bool terminal = false;           // the attachment's descriptors are a terminal
  // Where the container's processes are counted; null: nobody wants to know. `on_end` is
  // called when they have ended and the cgroup is still there, by runtimes that can.
  const StepCgroup* cgroup = nullptr;
  std::function<void()> on_end = {};
  bool hooks = false;              // its spec has hooks that the runtime must run in the end
};

struct RuntimeExit {
  int code = 0;
  bool stopped = false;  // the stop token fired while it ran
  bool removed = false;  // nothing is left of the container
};

// Blocks until the runtime has ended and every writer of its output is gone. On a
// stop request the container's first process (the new one, for exec) gets SIGKILL until
// it is dead. `starting`, if given, lets in for as long as the container starts: CANCELLED
// if it was stopped before.
StatusOr<RuntimeExit> RunContainer(const RuntimeCall& call, const OutputFn& output,
                                   std::stop_token stop, StartGate* starting = nullptr);
// Removes a container by force; what is not there is fine.
void DeleteContainer(const std::string& binary, const std::string& id);

}  // namespace kiln::worker::exec
