// TaskIo: the FIFOs between a task of containerd and us.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "base/status.h"
#include "base/unique_fd.h"
#include "worker/exec/container_process.h"

namespace kiln::api {

// Made before the task, used by one thread. The destructor removes the files.
class TaskIo {
 public:
  // `base` is the beginning of the FIFOs' paths. A terminal of the attachment is made raw: the
  // one that edits lines and echoes is the task's own.
  static StatusOr<std::unique_ptr<TaskIo>> Make(const std::string& base,
                                                const worker::exec::Attachment* attachment,
                                                bool terminal);
  ~TaskIo();

  // Paths for the task; "" where it gets none.
  const std::string& stdin_path() const { return paths_[0]; }
  const std::string& stdout_path() const { return paths_[1]; }
  const std::string& stderr_path() const { return paths_[2]; }

  // To poll; -1 once the task has closed it.
  int out() const { return fds_[1].get(); }
  int err() const { return fds_[2].get(); }
  bool open() const { return fds_[1].valid() || fds_[2].valid(); }
  // Passes on what `stream` (1 or 2) has to say, to `output` or to the attachment.
  void Read(int stream, const worker::exec::OutputFn& output);

 private:
  TaskIo() = default;
  void PumpStdin();

  const worker::exec::Attachment* attachment_ = nullptr;
  std::string paths_[3];
  UniqueFd fds_[3];
  UniqueFd quit_;
  std::thread pump_;
};

}  // namespace kiln::api
