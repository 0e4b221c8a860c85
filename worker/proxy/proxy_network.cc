#include "worker/proxy/proxy_network.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/file.h"
#include "base/strings.h"
#include "worker/netns/netns.h"

namespace kiln::worker::proxy {
namespace {

// The same for every step: each pair of namespaces is a world of its own.
constexpr uint32_t kProxyAddress = 0x0a590001;  // 10.89.0.1
constexpr uint32_t kStepAddress = 0x0a590002;
constexpr int kPrefix = 30;
constexpr uint16_t kPort = 3128;
constexpr std::string_view kProxyUrl = "http://10.89.0.1:3128";
constexpr std::string_view kNoProxy = "127.0.0.1,localhost,::1";
constexpr std::string_view kInterface = "eth0";

StatusOr<UniqueFd> ListenIn(int ns) {
  UniqueFd listener;
  RETURN_IF_ERROR(netns::RunIn(ns, [&]() -> Status {
    listener = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener.valid()) return ErrnoStatus(errno, "socket");
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(kProxyAddress);
    address.sin_port = htons(kPort);
    if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener.get(), SOMAXCONN) != 0) {
      return ErrnoStatus(errno, "listen");
    }
    return OkStatus();
  }));
  return listener;
}

}  // namespace

std::vector<std::string> ProxyNamespace::AddTo(std::vector<std::string> env) const {
  constexpr std::pair<std::string_view, std::string_view> kVariables[] = {
      {"HTTP_PROXY", kProxyUrl}, {"HTTPS_PROXY", kProxyUrl}, {"http_proxy", kProxyUrl},
      {"https_proxy", kProxyUrl}, {"NO_PROXY", kNoProxy},    {"no_proxy", kNoProxy}};
  for (const auto& [name, value] : kVariables) {
    const std::string start = StrCat(name, "=");
    std::erase_if(env, [&](const std::string& entry) { return entry.starts_with(start); });
    env.push_back(start + std::string(value));
  }
  return env;
}

ProxyNamespace::~ProxyNamespace() {
  server_.reset();
  netns::Unbind(path_);
}

ProxyNetwork::ProxyNetwork(const std::string& root) : folder_(JoinPath(root, "net/proxy")) {
  for (const std::string& name : ListDir(folder_).value_or({})) {
    netns::Unbind(JoinPath(folder_, name));
  }
}

StatusOr<ProxyShared*> ProxyNetwork::Shared() {
  std::lock_guard lock(mutex_);
  if (shared_ == nullptr) {
    RETURN_IF_ERROR(MakeDirs(folder_, 0700));
    ASSIGN_OR_RETURN(shared_, ProxyShared::New());
  }
  return shared_.get();
}

StatusOr<std::unique_ptr<ProxyNamespace>> ProxyNetwork::New(const ProxyConfig& config,
                                                            UniqueFd egress) {
  ASSIGN_OR_RETURN(ProxyShared * shared, Shared());
  std::unique_ptr<ProxyNamespace> made(new ProxyNamespace(JoinPath(folder_, NewId())));
  made->ca_pem_ = shared->authority->pem();
  ASSIGN_OR_RETURN(UniqueFd step, netns::NewAt(made->path_));
  // Nobody needs a name for it: it goes with the listener.
  ASSIGN_OR_RETURN(UniqueFd own, netns::New());
  const std::string interface(kInterface);
  RETURN_IF_ERROR(netns::Join({own.get(), interface, kProxyAddress},
                              {step.get(), interface, kStepAddress}, kPrefix));
  ASSIGN_OR_RETURN(UniqueFd listener, ListenIn(own.get()));
  ASSIGN_OR_RETURN(made->server_, ProxyServer::Start(*shared, std::move(listener),
                                                     std::move(egress), config));
  return made;
}

}  // namespace kiln::worker::proxy
