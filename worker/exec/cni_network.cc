// CNI: plugins of a configuration, run one after the other for each namespace.
//
// A namespace is a file under <root>/net/cni/<id> on which it is bind-mounted;
// the file is made first, so that the next start finds what a crash left.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/strings.h"
#include "worker/exec/network.h"

namespace kiln::worker::exec {
namespace {

using nlohmann::json;

struct CniConfig {
  std::string name;
  std::string version;
  std::vector<json> plugins;
};

// A text member; `fallback` if it is absent or no text (json::value would throw).
std::string Text(const json& object, const char* key, const std::string& fallback) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : fallback;
}

StatusOr<CniConfig> ReadConfig(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return ErrnoStatus(errno, StrCat("stat ", path));
  StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) {
    return Annotate(text.status(), StrCat("failed to read cni config ", Quote(path)));
  }
  json document = json::parse(*text, nullptr, false);
  if (!document.is_object()) {
    return InvalidArgumentError(StrCat("cni config ", path, " is no JSON object"));
  }
  CniConfig config;
  config.name = Text(document, "name", "");
  config.version = Text(document, "cniVersion", "0.1.0");
  if (document.contains("plugins") && document["plugins"].is_array()) {
    for (const json& plugin : document["plugins"]) config.plugins.push_back(plugin);
  } else {
    config.plugins.push_back(document);
  }
  for (const json& plugin : config.plugins) {
    if (!plugin.is_object() || !plugin.contains("type") || !plugin["type"].is_string()) {
      return InvalidArgumentError(StrCat("cni config ", path, ": plugin without a type"));
    }
  }
  return config;
}

// Makes a namespace and binds it to `path`. A thread of its own leaves ours alone.
Status MakeNamespace(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  Status status;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) {
      status = ErrnoStatus(errno, "unshare");
      return;
    }
    std::string own = StrCat("/proc/self/task/", ::syscall(SYS_gettid), "/ns/net");
    if (::mount(own.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
      status = ErrnoStatus(errno, "mount network namespace");
    }
  }).join();
  return status;
}

void RemoveNamespace(const std::string& path) {
  ::umount2(path.c_str(), MNT_DETACH);
  ::unlink(path.c_str());
}

// Runs the plugins; shared by all leases of a provider.
class CniRunner {
 public:
  CniRunner(CniConfig config, std::string binary_dir)
      : config_(std::move(config)), binary_dir_(std::move(binary_dir)) {
    loopback_ = {"", "0.3.1", {json{{"type", "loopback"}}}};
    loopback_.name = "cni-loopback";
  }

  Status Add(const std::string& id, const std::string& path, const std::string& hostname) const {
    RETURN_IF_ERROR(AddAll(loopback_, "lo", id, path, hostname));
    return AddAll(config_, "eth0", id, path, hostname);
  }

  void Delete(const std::string& id, const std::string& path, const std::string& hostname) const {
    DeleteAll(config_, "eth0", id, path, hostname);
    DeleteAll(loopback_, "lo", id, path, hostname);
  }

 private:
  Status AddAll(const CniConfig& config, const char* interface, const std::string& id,
                const std::string& path, const std::string& hostname) const {
    json previous;
    for (const json& plugin : config.plugins) {
      StatusOr<json> result = Call(config, plugin, "ADD", interface, id, path, hostname, previous);
      if (!result.ok()) {
        DeleteAll(config, interface, id, path, hostname);
        return Annotate(result.status(), "CNI setup error");
      }
      previous = *std::move(result);
    }
    return OkStatus();
  }

  void DeleteAll(const CniConfig& config, const char* interface, const std::string& id,
                 const std::string& path, const std::string& hostname) const {
    for (auto plugin = config.plugins.rbegin(); plugin != config.plugins.rend(); ++plugin) {
      StatusOr<json> result = Call(config, *plugin, "DEL", interface, id, path, hostname, {});
      if (!result.ok()) log::Warning(StrCat("cni delete: ", result.status().message()));
    }
  }

  StatusOr<json> Call(const CniConfig& config, json plugin, const char* command,
                      const char* interface, const std::string& id, const std::string& path,
                      const std::string& hostname, const json& previous) const {
    plugin["name"] = config.name;
    plugin["cniVersion"] = config.version;
    if (!previous.is_null()) plugin["prevResult"] = previous;
    const std::string type = plugin["type"].get<std::string>();
    if (type.find('/') != std::string::npos) {
      return InvalidArgumentError(StrCat("bad cni plugin type ", Quote(type)));
    }
    ProcessOptions options;
    options.argv = {JoinPath(binary_dir_, type)};
    options.env = {StrCat("CNI_COMMAND=", command), StrCat("CNI_CONTAINERID=", id),
                   StrCat("CNI_NETNS=", path),      StrCat("CNI_IFNAME=", interface),
                   StrCat("CNI_PATH=", binary_dir_),
                   "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
    if (!hostname.empty()) {
      options.env.push_back(StrCat("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=", hostname));
    }
    ASSIGN_OR_RETURN(CommandOutput output, RunCommand(options, plugin.dump(-1, ' ', false, json::error_handler_t::replace), {}));
    json result = json::parse(output.out, nullptr, false);
    if (output.exit_code != 0) {
      std::string reason = result.is_object() ? Text(result, "msg", output.err) : output.err;
      return UnknownError(StrCat("plugin type=", Quote(type), " failed (",
                                 command[0] == 'A' ? "add" : "delete", "): ", reason));
    }
    return result.is_object() ? result : json();
  }

  CniConfig config_;
  CniConfig loopback_;
  std::string binary_dir_;
};

class CniLease : public NetworkLease {
 public:
  CniLease(std::shared_ptr<const CniRunner> runner, std::string id, std::string path,
           std::string hostname)
      : runner_(std::move(runner)),
        id_(std::move(id)),
        path_(std::move(path)),
        hostname_(std::move(hostname)) {}
  ~CniLease() override {
    runner_->Delete(id_, path_, hostname_);
    RemoveNamespace(path_);
  }
  NetworkNamespace network() const override { return {.host = false, .path = path_}; }

 private:
  std::shared_ptr<const CniRunner> runner_;
  std::string id_, path_, hostname_;
};

class CniProvider : public NetworkProvider {
 public:
  CniProvider(std::string dir, std::shared_ptr<const CniRunner> runner)
      : dir_(std::move(dir)), runner_(std::move(runner)) {}

  void RemoveOld() const {
    for (const std::string& id : ListDir(dir_).value_or({})) {
      std::string path = JoinPath(dir_, id);
      runner_->Delete(id, path, "");
      RemoveNamespace(path);
    }
  }

  StatusOr<std::unique_ptr<NetworkLease>> New(const std::string& hostname) override {
    const std::string id = NewId();
    const std::string path = JoinPath(dir_, id);
    Status made = MakeNamespace(path);
    if (made.ok()) made = runner_->Add(id, path, hostname);
    if (!made.ok()) {
      RemoveNamespace(path);
      return made;
    }
    return std::unique_ptr<NetworkLease>(std::make_unique<CniLease>(runner_, id, path, hostname));
  }

 private:
  std::string dir_;
  std::shared_ptr<const CniRunner> runner_;
};

}  // namespace

StatusOr<std::unique_ptr<NetworkProvider>> OpenCniNetwork(const std::string& root,
                                                          const std::string& config_path,
                                                          const std::string& binary_dir) {
  ASSIGN_OR_RETURN(CniConfig config, ReadConfig(config_path));
  if (!PathExists(binary_dir)) {
    return NotFoundError(StrCat("stat ", binary_dir, ": no such file or directory"));
  }
  const std::string dir = JoinPath(root, "net/cni");
  RETURN_IF_ERROR(MakeDirs(dir, 0700));
  auto provider = std::make_unique<CniProvider>(
      dir, std::make_shared<const CniRunner>(std::move(config), binary_dir));
  provider->RemoveOld();
  RETURN_IF_ERROR(provider->New("").status());
  return std::unique_ptr<NetworkProvider>(std::move(provider));
}

}  // namespace kiln::worker::exec
