// ProxiedNetwork: a step behind a proxy: its namespace, its environment, what it trusts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/rooted.h"
#include "base/status.h"
#include "worker/exec/container_mounts.h"
#include "worker/exec/network.h"
#include "worker/proxy/proxy_network.h"
#include "worker/proxy/trust_bundle.h"

namespace kiln::worker::exec {

// Of one step, used by its thread. Gone in the destructor.
class ProxiedNetwork : public NetworkLease {
 public:
  // The proxy reaches the world from where `egress` is.
  static StatusOr<std::unique_ptr<ProxiedNetwork>> New(proxy::ProxyNetwork& network,
                                                       const proxy::ProxyConfig& config,
                                                       std::unique_ptr<NetworkLease> egress);

  NetworkNamespace network() const override { return {.host = false, .path = step_->path()}; }
  std::vector<std::string> AddTo(std::vector<std::string> env) const {
    return step_->AddTo(std::move(env));
  }
  // Makes programs in `tree` trust the proxy: in the tree itself or, where that cannot be
  // written, by a file in `folder` that `mounts` puts over the tree's.
  Status MakeTrusted(const RootedTree& tree, const std::string& folder,
                     std::vector<ContainerMount>* mounts);
  // As it was. To be called while the tree is there.
  void EndTrust() { trust_.reset(); }

 private:
  ProxiedNetwork() = default;

  std::unique_ptr<NetworkLease> egress_;
  std::unique_ptr<proxy::ProxyNamespace> step_;
  std::unique_ptr<proxy::TrustBundle> trust_;
};

}  // namespace kiln::worker::exec
