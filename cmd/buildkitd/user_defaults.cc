#include "cmd/buildkitd/user_defaults.h"

#include <sys/stat.h>

#include <cstdlib>
#include <string_view>

#include "base/file.h"
#include "base/strings.h"
#include "base/user_namespace.h"

namespace kiln::buildkitd {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The first of a list of folders.
std::string FirstOf(const std::string& list) { return list.substr(0, list.find(':')); }

std::string UserConfigDir() {
  if (std::string home = Variable("XDG_CONFIG_HOME"); !home.empty()) return JoinPath(home, "buildkit");
  if (std::string home = Variable("HOME"); !home.empty()) return JoinPath(home, ".config/buildkit");
  return "/etc/buildkit";
}

std::string UserRoot(const std::string& otherwise) {
  if (std::string home = Variable("XDG_DATA_HOME"); !home.empty()) {
    return JoinPath(FirstOf(home), "buildkit");
  }
  if (std::string home = Variable("HOME"); !home.empty()) {
    return JoinPath(home, ".local/share/buildkit");
  }
  return otherwise;
}

}  // namespace

bool UsesUserDefaults() {
  const std::string user = Variable("USER");
  return InUserNamespace() && !user.empty() && user != "root";
}

std::string DefaultConfigPath() {
  return JoinPath(UsesUserDefaults() ? UserConfigDir() : "/etc/buildkit", "buildkitd.toml");
}

Config DefaultConfig() {
  Config config;
  if (!UsesUserDefaults()) return config;
  config.root = UserRoot(config.root);
  config.oci.network.cni_config_path = JoinPath(UserConfigDir(), "cni.json");
  config.containerd.network.cni_config_path = config.oci.network.cni_config_path;
  if (std::string runtime = FirstOf(Variable("XDG_RUNTIME_DIR")); !runtime.empty()) {
    const std::string dir = JoinPath(runtime, "buildkit");
    config.addresses = {StrCat("unix://", dir, "/buildkitd.sock")};
    config.otel_socket_path = JoinPath(dir, "otel-grpc.sock");
  }
  return config;
}

void MakeUserRuntimeDir() {
  const std::string runtime = FirstOf(Variable("XDG_RUNTIME_DIR"));
  if (runtime.empty()) return;
  const std::string dir = JoinPath(runtime, "buildkit");
  if (MakeDirs(dir, 0700).ok()) ::chmod(dir.c_str(), 0700 | S_ISVTX);
}

}  // namespace kiln::buildkitd
