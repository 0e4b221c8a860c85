#include "worker/exec/proxied_network.h"

#include <fcntl.h>

#include "base/file.h"

namespace kiln::worker::exec {

StatusOr<std::unique_ptr<ProxiedNetwork>> ProxiedNetwork::New(
    proxy::ProxyNetwork& network, const proxy::ProxyConfig& config,
    std::unique_ptr<NetworkLease> egress) {
  std::unique_ptr<ProxiedNetwork> made(new ProxiedNetwork());
  made->egress_ = std::move(egress);
  const NetworkNamespace outside = made->egress_->network();
  UniqueFd way_out;
  if (!outside.host) {
    ASSIGN_OR_RETURN(way_out, OpenFile(outside.path, O_RDONLY | O_CLOEXEC));
  }
  ASSIGN_OR_RETURN(made->step_, network.New(config, std::move(way_out)));
  return made;
}

Status ProxiedNetwork::MakeTrusted(const RootedTree& tree, const std::string& folder,
                                   std::vector<ContainerMount>* mounts) {
  auto added = proxy::TrustBundle::Add(tree, step_->ca_pem());
  if (added.ok()) {
    trust_ = *std::move(added);
    return OkStatus();
  }
  if (added.status().code() != StatusCode::kFailedPrecondition) return added.status();
  ASSIGN_OR_RETURN(auto found, proxy::TrustBundle::Find(tree, step_->ca_pem()));
  const std::string file = JoinPath(folder, "ca-certificates.crt");
  RETURN_IF_ERROR(WriteFileAtomic(file, found.text));
  cache::Mount bind{"bind", file, {"ro", "bind"}};
  mounts->push_back({.source = [bind]() -> StatusOr<cache::MountLease> {
                       return cache::MountLease{{bind}, nullptr};
                     },
                     .selector = {},
                     .dest = found.path,
                     .readonly = true});
  return OkStatus();
}

}  // namespace kiln::worker::exec
