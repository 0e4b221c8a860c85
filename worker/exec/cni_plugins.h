// CniPlugins: the plugins of one CNI configuration, run one after the other.
//
// Knows nothing of where namespaces come from or how long they live.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln::worker::exec {

// A namespace to be joined to the network.
struct CniSandbox {
  std::string id;
  std::string path;           // a file that stands for the namespace
  std::string hostname = {};  // told to plugins if set
};

// Thread-safe; calls block for as long as the plugins run.
class CniPlugins {
 public:
  // `config` is a network or a list of plugins as JSON. `loopback`: bring "lo" up as well.
  // INVALID_ARGUMENT naming `what`.
  static StatusOr<std::unique_ptr<CniPlugins>> Parse(std::string_view config,
                                                     const std::string& what,
                                                     std::vector<std::string> folders,
                                                     bool loopback);
  ~CniPlugins();

  // What the plugins made of it, as JSON, for Delete. On failure all is undone.
  StatusOr<std::string> Add(const CniSandbox& sandbox) const;
  // Failures are logged: there is nothing left to do about them.
  void Delete(const CniSandbox& sandbox, std::string_view result) const;

 private:
  struct State;
  explicit CniPlugins(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kiln::worker::exec
