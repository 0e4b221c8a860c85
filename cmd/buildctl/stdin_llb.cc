// See stdin_llb.h.
#include "cmd/buildctl/stdin_llb.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/digest.h"
#include "llb/proto/ops.pb.h"
#include "llb/wire_fault.h"

namespace kiln::buildctl {

StatusOr<std::string> ReadToEnd(int fd) {
  std::string all;
  char buffer[65536];
  while (true) {
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n == 0) return all;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "read");
    all.append(buffer, static_cast<size_t>(n));
  }
}

StatusOr<std::string> ReadStdinDefinition(bool no_cache) {
  struct stat st{};
  if (::fstat(STDIN_FILENO, &st) == 0 && S_ISCHR(st.st_mode)) {
    return UnknownError("please specify --frontend or pipe LLB definition to stdin");
  }
  ASSIGN_OR_RETURN(std::string bytes, ReadToEnd(STDIN_FILENO));
  pb::Definition definition;
  if (!definition.ParseFromString(bytes)) {
    Status fault = llb::CheckWire(bytes);
    return Annotate(fault.ok() ? UnknownError("unexpected EOF") : fault, "failed to parse input");
  }
  if (definition.def().empty()) {
    return UnknownError("empty definition sent to build. Specify --frontend instead?");
  }
  for (const std::string& op_bytes : definition.def()) {
    pb::Op op;
    if (no_cache && !op.ParseFromString(op_bytes)) {
      return UnknownError("failed to parse llb proto op: unexpected EOF");
    }
    if (no_cache) {
      (*definition.mutable_metadata())[Digest::Of(op_bytes).text()].set_ignore_cache(true);
    }
  }
  return definition.SerializeAsString();
}

}  // namespace kiln::buildctl
