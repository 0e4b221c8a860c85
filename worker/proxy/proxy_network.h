// ProxyNetwork: networks in which nothing can be reached but an HTTP proxy of ours.
//
// A step gets a namespace with one link, to a second namespace where only the proxy listens.
// There are no routes: who does not ask the proxy stays alone.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"
#include "worker/proxy/proxy_config.h"
#include "worker/proxy/proxy_server.h"

namespace kiln::worker::proxy {

// The network of one step. Gone, with the proxy and all its connections, in the destructor.
class ProxyNamespace {
 public:
  ~ProxyNamespace();
  ProxyNamespace(const ProxyNamespace&) = delete;
  ProxyNamespace& operator=(const ProxyNamespace&) = delete;

  const std::string& path() const { return path_; }  // a file, for setns
  const std::string& ca_pem() const { return ca_pem_; }
  // `env` with the variables that lead to the proxy instead of those it may have.
  std::vector<std::string> AddTo(std::vector<std::string> env) const;

 private:
  friend class ProxyNetwork;
  explicit ProxyNamespace(std::string path) : path_(std::move(path)) {}

  std::string path_;
  std::string ca_pem_;
  std::unique_ptr<ProxyServer> server_;
};

// Thread-safe; outlives its namespaces. Keys are made when the first one is.
class ProxyNetwork {
 public:
  // Removes what an earlier process left under `root`.
  explicit ProxyNetwork(const std::string& root);

  // `egress` is the namespace from which the proxy reaches the world; not valid: our own.
  StatusOr<std::unique_ptr<ProxyNamespace>> New(const ProxyConfig& config, UniqueFd egress);

 private:
  StatusOr<ProxyShared*> Shared();

  std::string folder_;
  std::mutex mutex_;
  std::unique_ptr<ProxyShared> shared_;
};

}  // namespace kiln::worker::proxy
