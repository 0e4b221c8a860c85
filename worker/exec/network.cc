#include "worker/exec/network.h"

#include <cstdlib>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "worker/exec/cni_network.h"

namespace kiln::worker::exec {
namespace {

class FixedLease : public NetworkLease {
 public:
  explicit FixedLease(bool host) : host_(host) {}
  NetworkNamespace network() const override { return {.host = host_, .path = {}}; }

 private:
  bool host_;
};

class FixedProvider : public NetworkProvider {
 public:
  explicit FixedProvider(bool host) : host_(host) {}
  StatusOr<std::unique_ptr<NetworkLease>> New(const std::string&) override {
    return std::unique_ptr<NetworkLease>(std::make_unique<FixedLease>(host_));
  }

 private:
  bool host_;
};

}  // namespace

std::unique_ptr<NetworkProvider> MakeHostNetwork() { return std::make_unique<FixedProvider>(true); }
std::unique_ptr<NetworkProvider> MakeNoNetwork() { return std::make_unique<FixedProvider>(false); }

StatusOr<std::unique_ptr<NetworkProvider>> OpenDefaultNetwork(const ExecutorOptions& options) {
  const std::string& mode = options.network_mode;
  if (mode == "host") return MakeHostNetwork();
  if (mode == "cni") return OpenCniNetwork(options);
  if (mode == "bridge") return OpenBridgeNetwork(options);
  if (mode != "auto" && !mode.empty()) {
    return InvalidArgumentError(StrCat("invalid network mode: ", Quote(mode)));
  }
  const char* text = std::getenv("BUILDKIT_NETWORK_BRIDGE_AUTO");
  bool bridge = false;
  if (text != nullptr && ParseBool(text, &bridge) && bridge) return OpenBridgeNetwork(options);
  if (PathExists(options.cni_config_path)) return OpenCniNetwork(options);
  log::Warning("using host network as the default");
  return MakeHostNetwork();
}

}  // namespace kiln::worker::exec
