// Sockets are made here rather than by gRPC, so that owner and mode are right from
// the first moment.
#include "cmd/buildkitd/listeners.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "cmd/buildkitd/tls_files.h"

namespace kiln::buildkitd {
namespace {

constexpr int kFirstActivationFd = 3;

StatusOr<UniqueFd> ListenUnix(const std::string& path, uid_t uid, gid_t gid) {
  RETURN_IF_ERROR(MakeDirs(DirName(path), 0770));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return InvalidArgumentError(StrCat("listen unix ", path, ": bind: invalid argument"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  // A socket that is there belongs to a daemon that is gone, or gives way to this one.
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, StrCat("unlink ", path));
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoStatus(errno, "socket");
  // Nobody may connect before the owner is set.
  mode_t mask = umask(0177);
  int bound = bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  int error = errno;
  umask(mask);
  if (bound != 0) return ErrnoStatus(error, StrCat("listen unix ", path, ": bind"));
  if (chown(path.c_str(), uid, gid) != 0) return ErrnoStatus(errno, StrCat("chown ", path));
  if (chmod(path.c_str(), 0660) != 0) return ErrnoStatus(errno, StrCat("chmod ", path));
  if (listen(fd.get(), SOMAXCONN) != 0) return ErrnoStatus(errno, StrCat("listen unix ", path));
  return fd;
}

StatusOr<UniqueFd> ListenTcp(const std::string& address) {
  size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return InvalidArgumentError(StrCat("listen tcp: address ", address, ": missing port in address"));
  }
  std::string host = address.substr(0, colon), port = address.substr(colon + 1);
  if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found) != 0) {
    return NotFoundError(StrCat("listen tcp: lookup ", host, ": no such host"));
  }
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  UniqueFd fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoStatus(errno, "socket");
  int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0 || listen(fd.get(), SOMAXCONN) != 0) {
    return ErrnoStatus(errno, StrCat("listen tcp ", address, ": bind"));
  }
  return fd;
}

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
  return UniqueFd(kFirstActivationFd);
}

}  // namespace

StatusOr<Listeners> Listeners::Open(const Config& config) {
  Listeners listeners;
  if (config.addresses.empty()) return InvalidArgumentError("--addr cannot be empty");
  ASSIGN_OR_RETURN(auto identity, LoadTls(config));
  if (identity) {
    listeners.identity_ = *std::move(identity);
    listeners.tls_ = true;
  }
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
  if (scheme == "unix") {
    if (tls_) log::Warning(StrCat("TLS is disabled for ", address));
    ASSIGN_OR_RETURN(UniqueFd fd,
                     ListenUnix(where, static_cast<uid_t>(config.uid.value_or(getuid())),
                                static_cast<gid_t>(config.gid.value_or(getgid()))));
    paths_.push_back(where);
    sockets_.push_back({where, std::move(fd)});
    return OkStatus();
  }
  if (scheme == "fd") {
    ASSIGN_OR_RETURN(UniqueFd fd, ActivationSocket(rest));
    sockets_.push_back({"socket activation", std::move(fd)});
    return OkStatus();
  }
  if (scheme != "tcp") return InvalidArgumentError(StrCat("addr ", address, " not supported"));
  if (tls_) {
    tls_addresses_.push_back(where);
    return OkStatus();
  }
  log::Warning(StrCat("TLS is not enabled for ", address,
                      ". enabling mutual TLS authentication is highly recommended"));
  ASSIGN_OR_RETURN(UniqueFd fd, ListenTcp(where));
  sockets_.push_back({where, std::move(fd)});
  return OkStatus();
}

void Listeners::Prepare(api::Server& server) {
  for (const std::string& address : tls_addresses_) server.ListenTls(address, identity_);
}

Status Listeners::Serve(api::Server& server) {
  for (const std::string& address : tls_addresses_) {
    log::Info(StrCat("running server on ", address));
  }
  for (Socket& socket : sockets_) {
    log::Info(StrCat("running server on ", socket.shown));
    RETURN_IF_ERROR(server.Listen(std::move(socket.fd)));
  }
  return OkStatus();
}

Listeners::~Listeners() {
  for (const std::string& path : paths_) unlink(path.c_str());
}

}  // namespace kiln::buildkitd
