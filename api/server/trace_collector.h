// TraceCollector: the OTLP trace collector on a socket of its own.
//
// Steps get that socket, so it must serve nothing else: a process in a container
// that can reach it can send spans and no more.
#pragma once

#include <memory>

#include "base/status.h"
#include "base/unique_fd.h"

namespace kiln::api {

// Used by one thread.
class TraceCollector {
 public:
  // Serves what connects to a listening socket.
  static StatusOr<std::unique_ptr<TraceCollector>> Open(UniqueFd socket);
  ~TraceCollector();

 private:
  struct State;
  TraceCollector();
  std::unique_ptr<State> state_;
};

}  // namespace kiln::api
