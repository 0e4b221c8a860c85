// Namespaces that CNI plugins join to a network.
//
// A namespace is a file under <root>/net/cni/<id> on which it is bind-mounted; the file is
// made first, so that the next start finds what a crash left. What the plugins answered is
// in <root>/net/results/<id>, which they want back to undo it.
#include "worker/exec/cni_network.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "worker/exec/network_pool.h"
#include "worker/netns/netns.h"

namespace kiln::worker::exec {
namespace {

struct Places {
  std::string namespaces;
  std::string results;
};

class CniLease : public NetworkLease {
 public:
  CniLease(std::shared_ptr<const CniPlugins> plugins, const Places& places, CniSandbox sandbox)
      : plugins_(std::move(plugins)),
        sandbox_(std::move(sandbox)),
        result_file_(JoinPath(places.results, sandbox_.id)) {}
  ~CniLease() override {
    if (joined_) {
      InPluginNamespace([&] {
        plugins_->Delete(sandbox_, ReadFile(result_file_).value_or(""));
        return OkStatus();
      }).IgnoreError();
    }
    netns::Unbind(sandbox_.path);
    ::unlink(result_file_.c_str());
  }

  Status SetUp() {
    RETURN_IF_ERROR(netns::NewAt(sandbox_.path).status());
    std::string result;
    RETURN_IF_ERROR(InPluginNamespace([&]() -> Status {
      ASSIGN_OR_RETURN(result, plugins_->Add(sandbox_));
      return OkStatus();
    }));
    joined_ = true;
    return WriteFileAtomic(result_file_, result, 0600);
  }
  // An earlier process made it.
  void TakeOver() { joined_ = true; }
  NetworkNamespace network() const override { return {.host = false, .path = sandbox_.path}; }
  std::optional<Counters> Traffic() const override {
    StatusOr<UniqueFd> ns = OpenFile(sandbox_.path, O_RDONLY | O_CLOEXEC);
    if (!ns.ok()) return std::nullopt;
    std::string devices;
    Status read = netns::RunIn(ns->get(), [&]() -> Status {
      ASSIGN_OR_RETURN(devices, ReadFile("/proc/thread-self/net/dev"));
      return OkStatus();
    });
    return read.ok() ? std::optional(HostTraffic(devices)) : std::nullopt;
  }

 private:
  std::shared_ptr<const CniPlugins> plugins_;
  CniSandbox sandbox_;
  std::string result_file_;
  bool joined_ = false;
};

class CniProvider : public NetworkProvider {
 public:
  CniProvider(Places places, std::shared_ptr<const CniPlugins> plugins,
              std::function<void()> at_end)
      : places_(std::move(places)), plugins_(std::move(plugins)), at_end_(std::move(at_end)) {}
  ~CniProvider() override {
    pool_.reset();
    if (!at_end_) return;
    InPluginNamespace([this] {
      at_end_();
      return OkStatus();
    }).IgnoreError();
  }

  void RemoveOld() const {
    for (const std::string& id : ListDir(places_.namespaces).value_or({})) {
      CniLease(plugins_, places_, {.id = id, .path = JoinPath(places_.namespaces, id)})
          .TakeOver();
    }
  }

  void StartPool(size_t size) {
    pool_ = std::make_unique<NetworkPool>(size, [this] { return Make(""); });
  }

  // Plugins are told names, so that a namespace with one serves nobody else.
  StatusOr<std::unique_ptr<NetworkLease>> New(const std::string& hostname) override {
    return hostname.empty() ? pool_->Get() : Make(hostname);
  }

 private:
  StatusOr<std::unique_ptr<NetworkLease>> Make(const std::string& hostname) const {
    const std::string id = NewId();
    auto lease = std::make_unique<CniLease>(
        plugins_, places_,
        CniSandbox{.id = id, .path = JoinPath(places_.namespaces, id), .hostname = hostname});
    RETURN_IF_ERROR(lease->SetUp());
    return std::unique_ptr<NetworkLease>(std::move(lease));
  }

  Places places_;
  std::shared_ptr<const CniPlugins> plugins_;
  std::function<void()> at_end_;
  std::unique_ptr<NetworkPool> pool_;
};

// Daemons that share a network may be told not to set it up at the same time.
StatusOr<UniqueFd> InitLock() {
  const char* path = std::getenv("BUILDKIT_CNI_INIT_LOCK_PATH");
  if (path == nullptr || *path == '\0') return UniqueFd();
  ASSIGN_OR_RETURN(UniqueFd lock, OpenFile(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (::flock(lock.get(), LOCK_EX) != 0) return ErrnoStatus(errno, StrCat("flock ", path));
  return lock;
}

}  // namespace

Status InPluginNamespace(const std::function<Status()>& work) {
  const char* state = std::getenv("ROOTLESSKIT_STATE_DIR");
  if (state == nullptr || *state == '\0') return work();
  StatusOr<UniqueFd> detached = OpenFile(JoinPath(state, "netns"), O_RDONLY | O_CLOEXEC);
  if (IsNotFound(detached.status())) return work();
  RETURN_IF_ERROR(detached.status());
  return netns::RunIn(detached->get(), work);
}

StatusOr<std::unique_ptr<NetworkProvider>> NewCniProvider(const std::string& root,
                                                          std::unique_ptr<CniPlugins> plugins,
                                                          size_t pool_size,
                                                          std::function<void()> at_end) {
  ASSIGN_OR_RETURN(UniqueFd lock, InitLock());
  Places places{JoinPath(root, "net/cni"), JoinPath(root, "net/results")};
  RETURN_IF_ERROR(MakeDirs(places.namespaces, 0700));
  RETURN_IF_ERROR(MakeDirs(places.results, 0700));
  auto provider = std::make_unique<CniProvider>(std::move(places), std::move(plugins),
                                                std::move(at_end));
  provider->RemoveOld();
  provider->StartPool(pool_size);
  RETURN_IF_ERROR(provider->New("").status());
  return std::unique_ptr<NetworkProvider>(std::move(provider));
}

StatusOr<std::unique_ptr<NetworkProvider>> OpenCniNetwork(const ExecutorOptions& options) {
  StatusOr<std::string> text = ReadFile(options.cni_config_path);
  if (!text.ok()) {
    // The cause comes first where the daemon reports that it cannot start.
    return text.status().code() == StatusCode::kNotFound
               ? NotFoundError(
                     StrCat("stat ", options.cni_config_path, ": no such file or directory"))
               : text.status();
  }
  if (!PathExists(options.cni_binary_dir)) {
    return NotFoundError(StrCat("stat ", options.cni_binary_dir, ": no such file or directory"));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<CniPlugins> plugins,
                   CniPlugins::Parse(*text, options.cni_config_path, {options.cni_binary_dir},
                                     /*loopback=*/true));
  return NewCniProvider(options.root, std::move(plugins), options.cni_pool_size, {});
}

}  // namespace kiln::worker::exec
