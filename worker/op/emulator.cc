#include "worker/op/emulator.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <mutex>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::worker {
namespace {

Status CopyProgram(const std::string& from, const std::string& to) {
  ASSIGN_OR_RETURN(UniqueFd in, OpenFile(from, O_RDONLY | O_CLOEXEC));
  ASSIGN_OR_RETURN(UniqueFd out, OpenFile(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0555));
  std::string buffer(1 << 18, '\0');
  for (;;) {
    ssize_t count = ::read(in.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, StrCat("read ", from));
    if (count == 0) break;
    RETURN_IF_ERROR(WriteAll(out.get(), {buffer.data(), static_cast<size_t>(count)}));
  }
  return ::fchmod(out.get(), 0555) == 0 ? OkStatus() : ErrnoStatus(errno, StrCat("chmod ", to));
}

}  // namespace

StatusOr<std::string> EmulatorFor(const std::string& program, const std::string& temp_dir) {
  static std::mutex mutex;
  struct stat st = {};
  if (::stat(program.c_str(), &st) != 0) return ErrnoStatus(errno, StrCat("stat ", program));
  const std::string path = JoinPath(temp_dir, StrCat("emulator-", BaseName(program), "-", st.st_ino,
                                                     "-", st.st_mtim.tv_sec, "-", st.st_size));
  std::lock_guard lock(mutex);
  if (PathExists(path)) return path;
  const std::string part = StrCat(path, ".part");
  ::unlink(part.c_str());
  RETURN_IF_ERROR(CopyProgram(program, part));
  if (::rename(part.c_str(), path.c_str()) != 0) return ErrnoStatus(errno, part);
  return path;
}

}  // namespace kiln::worker
