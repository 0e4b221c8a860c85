// flock on <root>/buildkitd.lock.
#include "cmd/buildkitd/root_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::buildkitd {

StatusOr<RootLock> RootLock::Take(const std::string& root) {
  if (Status made = MakeDirs(root, 0700); !made.ok()) {
    return Annotate(made, StrCat("failed to create ", root));
  }
  std::string path = JoinPath(root, "buildkitd.lock");
  auto file = OpenFile(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (!file.ok()) return Annotate(file.status(), StrCat("could not lock ", path));
  if (flock(file->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return UnavailableError(StrCat("could not lock ", path, ", another instance running?"));
    }
    return ErrnoStatus(errno, StrCat("could not lock ", path));
  }
  return RootLock(std::move(path), *std::move(file));
}

RootLock::~RootLock() {
  if (file_.valid()) unlink(path_.c_str());
}

}  // namespace kiln::buildkitd
