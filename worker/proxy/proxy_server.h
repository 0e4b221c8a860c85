// ProxyServer: the HTTP proxy of one step. It opens TLS tunnels and looks inside.
//
// One thread serves all connections of the step. Requests that a policy denies get 403;
// servers that cannot be reached, 502; what is no HTTP, 400.
#pragma once

#include <memory>

#include "base/job_pool.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "worker/proxy/certificates.h"
#include "worker/proxy/proxy_config.h"

namespace kiln::worker::proxy {

// What the servers of all steps have in common. Outlives them.
struct ProxyShared {
  static StatusOr<std::unique_ptr<ProxyShared>> New();

  std::unique_ptr<CertificateAuthority> authority;
  std::shared_ptr<ssl_ctx_st> upstream;  // settings of a client that trusts what the host does
  // Both for work that cannot be broken off; it outlives a step that does not wait for it.
  JobPool lookups{"proxy-names", 4};
  JobPool policies{"proxy-policies", 8};
};

class ProxyServer {
 public:
  // `listener` listens already. Connections to the outside are made in the namespace
  // `egress`, or in this process's if it is not valid.
  static StatusOr<std::unique_ptr<ProxyServer>> Start(ProxyShared& shared, UniqueFd listener,
                                                      UniqueFd egress, ProxyConfig config);
  // Breaks all connections; nothing of the server is left when it returns.
  ~ProxyServer();
  ProxyServer(const ProxyServer&) = delete;
  ProxyServer& operator=(const ProxyServer&) = delete;

 private:
  struct State;
  explicit ProxyServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kiln::worker::proxy
