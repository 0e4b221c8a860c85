// The built-in bridge: CNI's own plugins with a configuration that needs no file.
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/strings.h"
#include "base/unique_fd.h"
#include "worker/exec/cni_network.h"

namespace kiln::worker::exec {
namespace {

struct PluginNames {
  std::string bridge = "bridge";
  std::string loopback = "loopback";
  std::string host_local = "host-local";
  std::string firewall = "firewall";
  std::vector<std::string> folders = {};
};

// Plugins that were shipped with the daemon, if all of them are in PATH.
bool FindOwnPlugins(PluginNames* names) {
  for (std::string* name :
       {&names->bridge, &names->loopback, &names->host_local, &names->firewall}) {
    StatusOr<std::string> path = LookPath(StrCat("buildkit-cni-", *name));
    if (!path.ok()) return false;
    *name = BaseName(*path);
    std::string folder = DirName(*path);
    if (std::find(names->folders.begin(), names->folders.end(), folder) ==
        names->folders.end()) {
      names->folders.push_back(std::move(folder));
    }
  }
  return true;
}

StatusOr<PluginNames> FindPlugins(const std::string& folder) {
  PluginNames own;
  if (FindOwnPlugins(&own)) return own;
  const std::string bridge = JoinPath(folder, "bridge");
  if (!PathExists(bridge)) {
    return NotFoundError(StrCat("failed to find CNI bridge ", Quote(bridge),
                                " or buildkit-cni-bridge: stat ", bridge,
                                ": no such file or directory"));
  }
  PluginNames names;
  names.folders = {folder};
  return names;
}

std::string Configuration(const PluginNames& names, const ExecutorOptions& options) {
  using nlohmann::json;
  // firewalld does not work in a user namespace; left open, the plugin chooses.
  const bool rootless = std::getenv("ROOTLESSKIT_STATE_DIR") != nullptr;
  json bridge = {{"type", names.bridge},
                 {"bridge", options.bridge_name},
                 {"isDefaultGateway", true},
                 {"ipMasq", true},
                 {"ipam",
                  {{"type", names.host_local},
                   {"ranges", {{{{"subnet", options.bridge_subnet}}}}}}}};
  json firewall = {{"type", names.firewall},
                   {"backend", rootless ? "iptables" : ""},
                   {"ingressPolicy", "same-bridge"}};
  json config = {{"cniVersion", "1.0.0"},
                 {"name", "buildkit"},
                 {"plugins", {{{"type", names.loopback}}, bridge, firewall}}};
  return config.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Only what this process's own network namespace has; sysfs may be another's.
bool IsBridge(int socket, const std::string& name) {
  ifreq request = {};
  ethtool_drvinfo driver = {};
  driver.cmd = ETHTOOL_GDRVINFO;
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&driver);
  return ::ioctl(socket, SIOCETHTOOL, &request) == 0 &&
         std::strcmp(driver.driver, "bridge") == 0;
}

void RemoveBridge(const std::string& name) {
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!IsBridge(socket.get(), name)) return;
  ifreq request = {};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  ::ioctl(socket.get(), SIOCSIFFLAGS, &request);  // down, or it cannot go
  if (::ioctl(socket.get(), SIOCBRDELBR, name.c_str()) != 0) {
    log::Error(StrCat("failed to remove bridge ", Quote(name), ": ", ErrnoText(errno)));
  }
}

}  // namespace

StatusOr<std::unique_ptr<NetworkProvider>> OpenBridgeNetwork(const ExecutorOptions& options) {
  if (options.bridge_name.size() >= IFNAMSIZ) {
    return InvalidArgumentError(StrCat("bridge name ", Quote(options.bridge_name),
                                       " is longer than the kernel allows"));
  }
  ASSIGN_OR_RETURN(PluginNames names, FindPlugins(options.cni_binary_dir));
  ASSIGN_OR_RETURN(std::unique_ptr<CniPlugins> plugins,
                   CniPlugins::Parse(Configuration(names, options), "of the bridge",
                                     names.folders, /*loopback=*/false));
  bool there = false;
  RETURN_IF_ERROR(InPluginNamespace([&] {
    UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    there = IsBridge(socket.get(), options.bridge_name);
    return OkStatus();
  }));
  std::function<void()> at_end;
  if (!there) {
    at_end = [name = options.bridge_name] { RemoveBridge(name); };
  }
  return NewCniProvider(options.root, std::move(plugins), options.cni_pool_size,
                        std::move(at_end));
}

}  // namespace kiln::worker::exec
