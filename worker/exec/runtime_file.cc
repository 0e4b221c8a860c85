#include "worker/exec/runtime_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/moved_bytes.h"
#include "base/strings.h"

namespace kiln::worker::exec {

StatusOr<UniqueFd> WriteForRuntime(const std::string& path, std::string_view text, bool secret) {
  if (!secret) {
    ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    RETURN_IF_ERROR(WriteAll(file.get(), text));
    return UniqueFd();
  }
  UniqueFd memory(::memfd_create("kiln-spec", MFD_CLOEXEC));
  if (!memory.valid()) return ErrnoStatus(errno, "memfd_create");
  RETURN_IF_ERROR(WriteAll(memory.get(), text));
  ForgetMovedBytes();
  const std::string target = StrCat("/proc/", ::getpid(), "/fd/", memory.get());
  if (::symlink(target.c_str(), path.c_str()) != 0) return ErrnoStatus(errno, "symlink " + path);
  return memory;
}

}  // namespace kiln::worker::exec
