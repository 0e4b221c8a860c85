// Starting programs without fork(): posix_spawn, pidfd, pipes.
#pragma once

#include <sys/types.h>

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"

namespace kiln {

struct ProcessOptions {
  std::vector<std::string> argv = {};
  std::vector<std::string> env = {};  // "K=V"; empty: nothing is inherited
  std::string cwd = {};
  int stdin_fd = -1;   // -1: /dev/null
  int stdout_fd = -1;
  int stderr_fd = -1;
  bool new_session = false;
};

// The environment of this process, for children that are to have it.
std::vector<std::string> OwnEnvironment();

// Keeps what this process has in memory (secrets of builds among it) out of the cores that
// the kernel may write of it. Children that are started later get what was there before.
// Call it early, once. Linux's core(5), coredump_filter.
void KeepMemoryOutOfCores();

// A started child. The destructor kills and reaps it if it still runs.
class Process {
 public:
  static StatusOr<Process> Start(const ProcessOptions& options);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  void Kill(int signal);  // the process itself, by pidfd
  // Blocks. Exit code, or 128 + signal.
  StatusOr<int> Wait();

 private:
  Process() = default;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  bool reaped_ = false;
  int exit_code_ = -1;
};

struct CommandOutput {
  int exit_code = -1;
  std::string out;
  std::string err;
};
// Runs to the end and collects output (each stream up to `limit` bytes). A stop
// request kills the process group with SIGKILL and gives CANCELLED.
StatusOr<CommandOutput> RunCommand(ProcessOptions options, std::string_view input,
                                   std::stop_token stop, size_t limit = 16 << 20);

// A pipe, both ends close-on-exec.
struct Pipe {
  UniqueFd read;
  UniqueFd write;
};
StatusOr<Pipe> MakePipe();

// Finds a program in PATH; NOT_FOUND in Go's words.
StatusOr<std::string> LookPath(std::string_view name);

}  // namespace kiln
