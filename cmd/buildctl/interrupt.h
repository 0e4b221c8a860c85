// Interrupt: Ctrl-C and SIGTERM as a stop token; the third one ends the process.
#pragma once

#include <stop_token>
#include <thread>

namespace kiln::buildctl {

// One at a time, made before other threads that shall not see the signals.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  int pipe_[2];
  std::thread thread_;
};

}  // namespace kiln::buildctl
