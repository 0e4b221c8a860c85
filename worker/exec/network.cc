#include "worker/exec/network.h"

#include "base/file.h"
#include "base/strings.h"

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
  if (mode == "host") {
    return MakeHostNetwork();
  }
  if (mode == "cni" || mode == "bridge") {
    return OpenCniNetwork(options.root, options.cni_config_path, options.cni_binary_dir);
  }
  if (mode == "auto" || mode.empty()) {
    if (PathExists(options.cni_config_path)) {
      return OpenCniNetwork(options.root, options.cni_config_path, options.cni_binary_dir);
    }
    return MakeHostNetwork();
  }
  return InvalidArgumentError(StrCat("invalid network mode: ", Quote(mode)));
}

}  // namespace kiln::worker::exec
