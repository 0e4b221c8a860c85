// Which sockets the configuration asks for; listen.h makes them.
#include "cmd/buildkitd/listeners.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "base/log.h"
#include "base/strings.h"
#include "cmd/buildkitd/listen.h"
#include "cmd/buildkitd/tls_files.h"

namespace kiln::buildkitd {
namespace {

constexpr int kFirstActivationFd = 3;

// The first socket that systemd passed.
StatusOr<UniqueFd> ActivationSocket(std::string_view name) {
  const char* pid = std::getenv("LISTEN_PID");
  const char* count = std::getenv("LISTEN_FDS");
  int64_t number = 0, owner = 0;
  bool ours = pid != nullptr && count != nullptr && ParseInt64(pid, &owner) && owner == getpid() &&
              ParseInt64(count, &number) && number > 0;
  if (!ours) {
    return UnavailableError(
        "no sockets found via socket activation: make sure the service was started by systemd");
  }
  if (!name.empty()) return UnimplementedError("not supported yet");
  // Neither the socket nor the word of it is for our children.
  ::fcntl(kFirstActivationFd, F_SETFD, FD_CLOEXEC);
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(variable);
  return UniqueFd(kFirstActivationFd);
}

bool IsTcp(int socket) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
         (domain == AF_INET || domain == AF_INET6);
}

}  // namespace

StatusOr<Listeners> Listeners::Open(const Config& config) {
  Listeners listeners;
  if (config.addresses.empty()) return InvalidArgumentError("--addr cannot be empty");
  ASSIGN_OR_RETURN(listeners.identity_, LoadTls(config));
  for (const std::string& address : config.addresses) {
    RETURN_IF_ERROR(listeners.Add(address, config));
  }
  return listeners;
}

Status Listeners::Add(const std::string& address, const Config& config) {
  std::string_view scheme, rest;
  if (!StrCut(address, "://", &scheme, &rest)) {
    return InvalidArgumentError(StrCat("address ", address,
                                       " does not contain proto, you meant unix://", address, " ?"));
  }
  std::string where(rest);
  const bool tls = identity_.has_value();
  auto no_tls = [&] {
    if (tls) log::Warning(StrCat("TLS is disabled for ", address));
  };
  if (scheme == "unix") {
    no_tls();
    ASSIGN_OR_RETURN(UniqueFd fd,
                     ListenUnix(where, static_cast<uid_t>(config.uid.value_or(getuid())),
                                static_cast<gid_t>(config.gid.value_or(getgid()))));
    paths_.push_back(where);
    sockets_.push_back({where, std::move(fd)});
    return OkStatus();
  }
  if (scheme == "fd") {
    ASSIGN_OR_RETURN(UniqueFd fd, ActivationSocket(rest));
    const bool tcp = IsTcp(fd.get());
    if (!tcp) no_tls();
    sockets_.push_back({"socket activation", std::move(fd), tls && tcp});
    return OkStatus();
  }
  if (scheme != "tcp") return InvalidArgumentError(StrCat("addr ", address, " not supported"));
  if (!tls) {
    log::Warning(StrCat("TLS is not enabled for ", address,
                        ". enabling mutual TLS authentication is highly recommended"));
  }
  ASSIGN_OR_RETURN(UniqueFd fd, ListenTcp(where));
  sockets_.push_back({where, std::move(fd), tls});
  return OkStatus();
}

void Listeners::Prepare(api::Server& server) {
  if (identity_) server.UseTls(*identity_);
}

Status Listeners::Serve(api::Server& server) {
  for (Socket& socket : sockets_) {
    log::Info(StrCat("running server on ", socket.shown));
    RETURN_IF_ERROR(socket.tls ? server.ListenTls(std::move(socket.fd))
                               : server.Listen(std::move(socket.fd)));
  }
  return OkStatus();
}

Listeners::~Listeners() {
  for (const std::string& path : paths_) unlink(path.c_str());
}

}  // namespace kiln::buildkitd
