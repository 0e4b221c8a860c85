#include "worker/netns/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::worker::netns {
namespace {

std::string OwnNamespace() {
  return StrCat("/proc/self/task/", ::syscall(SYS_gettid), "/ns/net");
}

}  // namespace

StatusOr<UniqueFd> New() {
  StatusOr<UniqueFd> made = UnknownError("no namespace");
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) {
      made = ErrnoStatus(errno, "unshare");
    } else {
      made = OpenFile(OwnNamespace(), O_RDONLY | O_CLOEXEC);
    }
  }).join();
  return made;
}

StatusOr<UniqueFd> NewAt(const std::string& path) {
  // The file comes first, so that the next start finds what a crash left.
  ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  ASSIGN_OR_RETURN(UniqueFd made, New());
  const std::string source = StrCat("/proc/self/fd/", made.get());
  if (::mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return ErrnoStatus(errno, "mount network namespace");
  }
  return made;
}

void Unbind(const std::string& path) {
  ::umount2(path.c_str(), MNT_DETACH);
  ::unlink(path.c_str());
}

Status Enter(int ns) {
  if (::setns(ns, CLONE_NEWNET) != 0) return ErrnoStatus(errno, "setns");
  return OkStatus();
}

Status RunIn(int ns, const std::function<Status()>& work) {
  Status status;
  std::thread([&] {
    status = Enter(ns);
    if (status.ok()) status = work();
  }).join();
  return status;
}

}  // namespace kiln::worker::netns
