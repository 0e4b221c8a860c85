#include "worker/op/client_mounts.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <list>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"

namespace kiln::worker {
namespace {

Status SetOwner(const std::string& path, const FileOwner& owner) {
  if (::chown(path.c_str(), owner.uid, owner.gid) != 0) {
    return ErrnoStatus(errno, StrCat("chown ", path));
  }
  if (::chmod(path.c_str(), owner.mode & 0777) != 0) {
    return ErrnoStatus(errno, StrCat("chmod ", path));
  }
  return OkStatus();
}

// A folder with a tmpfs on it; both go in the destructor.
class SecretDir {
 public:
  explicit SecretDir(std::string path) : path_(std::move(path)) {}
  ~SecretDir() {
    ::umount2(path_.c_str(), MNT_DETACH);
    ::rmdir(path_.c_str());
  }
  Status Mount(bool noexec) const {
    ::chmod(path_.c_str(), 0711);
    std::string options = StrCat("uid=", ::geteuid(), ",gid=", ::getegid());
    unsigned long flags = MS_NODEV | MS_NOSUID;
    if (noexec) flags |= MS_NOEXEC;
    if (::mount("tmpfs", path_.c_str(), "tmpfs", flags, options.c_str()) != 0) {
      return ErrnoStatus(errno, "unable to setup secret mount");
    }
    return OkStatus();
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Accepts on a socket and hands each connection to the client.
class AgentSocket {
 public:
  AgentSocket(std::string dir, ClientSessionPtr session, std::string id)
      : dir_(std::move(dir)), session_(std::move(session)), id_(std::move(id)) {}
  ~AgentSocket() {
    acceptor_.request_stop();
    if (listener_.valid()) ::shutdown(listener_.get(), SHUT_RDWR);
    if (acceptor_.joinable()) acceptor_.join();
    for (std::jthread& forwarder : forwarders_) forwarder.request_stop();
    forwarders_.clear();
    RemoveAll(dir_).IgnoreError();
  }

  std::string path() const { return JoinPath(dir_, "ssh_auth_sock"); }

  Status Open(const FileOwner& owner) {
    listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSIGN_OR_RETURN(UniqueFd dir, OpenFile(dir_, O_PATH | O_DIRECTORY | O_CLOEXEC));
    // State folders may lie deeper than the 107 bytes of a socket address.
    std::string name = StrCat("/proc/self/fd/", dir.get(), "/ssh_auth_sock");
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.c_str(), name.size());
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_.get(), 16) != 0) {
      return ErrnoStatus(errno, "ssh agent socket");
    }
    RETURN_IF_ERROR(SetOwner(path(), owner));
    ::chmod(dir_.c_str(), 0711);
    acceptor_ = std::jthread([this](std::stop_token stop) { Accept(stop); });
    return OkStatus();
  }

 private:
  void Accept(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!connection.valid()) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        return;
      }
      forwarders_.emplace_back(
          [this, fd = std::move(connection)](std::stop_token forward_stop) mutable {
            Status status = session_->ForwardSshAgent(id_, std::move(fd), forward_stop);
            if (!status.ok()) log::Debug(StrCat("ssh forwarding: ", status.message()));
          });
    }
  }

  std::string dir_;
  ClientSessionPtr session_;
  std::string id_;
  UniqueFd listener_;
  std::list<std::jthread> forwarders_;  // touched by the acceptor, then by the destructor
  std::jthread acceptor_;
};

}  // namespace

StatusOr<cache::MountLease> MakeSecretMount(const std::string& temp_dir, std::string_view value,
                                            const FileOwner& owner) {
  ASSIGN_OR_RETURN(std::string path, MakeTempDir(temp_dir, "secret-"));
  auto dir = std::make_shared<SecretDir>(path);
  const bool noexec = (owner.mode & 0111) == 0;
  RETURN_IF_ERROR(dir->Mount(noexec));
  const std::string file = JoinPath(path, NewId());
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  RETURN_IF_ERROR(WriteAll(fd.get(), value));
  RETURN_IF_ERROR(SetOwner(file, owner));
  cache::Mount mount{"bind", file, {"ro", "rbind", "nodev", "nosuid"}};
  if (noexec) mount.options.emplace_back("noexec");
  return cache::MountLease{{std::move(mount)}, std::move(dir)};
}

StatusOr<cache::MountLease> MakeSshMount(const std::string& temp_dir, ClientSessionPtr session,
                                         const std::string& id, const FileOwner& owner) {
  ASSIGN_OR_RETURN(std::string path, MakeTempDir(temp_dir, "ssh-"));
  auto socket = std::make_shared<AgentSocket>(path, std::move(session), id);
  RETURN_IF_ERROR(socket->Open(owner));
  return cache::MountLease{{{"bind", socket->path(), {"rbind"}}}, std::move(socket)};
}

}  // namespace kiln::worker
