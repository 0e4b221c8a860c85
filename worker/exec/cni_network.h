// Providers of namespaces made by CNI plugins, for network.h.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "worker/exec/cni_plugins.h"
#include "worker/exec/network.h"

namespace kiln::worker::exec {

// Removes namespaces that an earlier process left under `root`, sets one up as a check and
// keeps `pool_size` of them ready. `at_end` (may be empty) is called after the last is gone.
StatusOr<std::unique_ptr<NetworkProvider>> NewCniProvider(const std::string& root,
                                                          std::unique_ptr<CniPlugins> plugins,
                                                          size_t pool_size,
                                                          std::function<void()> at_end);
// Runs `work` where networks for steps are set up. RootlessKit can leave the daemon in the host's
// network namespace (--detach-netns); its own, in which an ordinary user may do that, is then a
// file. Elsewhere it is the caller's. Blocking.
Status InPluginNamespace(const std::function<Status()>& work);
// With the configuration and plugins that the options name.
StatusOr<std::unique_ptr<NetworkProvider>> OpenCniNetwork(const ExecutorOptions& options);
// With a configuration of our own: a bridge of the options' name and subnet, with NAT.
// It is removed at the end if it was not there before.
StatusOr<std::unique_ptr<NetworkProvider>> OpenBridgeNetwork(const ExecutorOptions& options);

}  // namespace kiln::worker::exec
