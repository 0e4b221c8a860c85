// Sockets are made here rather than by gRPC, so that owner and mode are right from
// the first moment.
#include "cmd/buildkitd/listen.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::buildkitd {

StatusOr<UniqueFd> ListenUnix(const std::string& path, uid_t uid, gid_t gid, mode_t mode) {
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
  if (chmod(path.c_str(), mode) != 0) return ErrnoStatus(errno, StrCat("chmod ", path));
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

}  // namespace kiln::buildkitd
