// DebugServer: HTTP for the person who looks after the daemon (--debugaddr).
//
// Who may connect is decided by the address alone. It knows no build and no store:
// what it shows beyond this process is given to it as functions.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/status.h"
#include "base/unique_fd.h"

namespace kiln::buildkitd {

struct DebugSources {
  std::function<std::string()> metrics;   // Prometheus text
  std::function<std::string()> requests;  // HTML rows of what runs
};

struct DebugAnswer {
  unsigned status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body = {};
};

// What a path shows; thread-safe as far as `sources` are.
DebugAnswer AnswerDebugRequest(std::string_view method, std::string_view target,
                               const DebugSources& sources);

// One thread that serves one request at a time. Used by one thread.
class DebugServer {
 public:
  // `address` is host:port, tcp:// or unix://. Errors are the listener's.
  static StatusOr<std::unique_ptr<DebugServer>> Open(const std::string& address);
  ~DebugServer();

  // Before this, figures are empty. `sources` must work until Forget.
  void Show(DebugSources sources);
  void Forget();

 private:
  struct State;
  DebugServer();
  std::unique_ptr<State> state_;
  std::thread thread_;
};

}  // namespace kiln::buildkitd
