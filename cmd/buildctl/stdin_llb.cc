// See stdin_llb.h.
#include "cmd/buildctl/stdin_llb.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/digest.h"
#include "llb/proto/ops.pb.h"

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

// The first fault of a message's wire form, without knowing its type.
Status CheckWire(std::string_view bytes) {
  auto varint = [&](uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
      auto byte = static_cast<uint8_t>(bytes.front());
      bytes.remove_prefix(1);
      *value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  };
  Status cut = UnknownError("unexpected EOF");
  while (!bytes.empty()) {
    uint64_t tag = 0;
    uint64_t value = 0;
    if (!varint(&tag)) return cut;
    if ((tag >> 3) == 0) {
      return UnknownError(StrCat("proto: Definition: illegal tag 0 (wire type ", tag & 7, ")"));
    }
    switch (tag & 7) {
      case 0:
        if (!varint(&value)) return cut;
        break;
      case 1: value = 8; break;
      case 5: value = 4; break;
      case 2:
        if (!varint(&value)) return cut;
        break;
      case 3:
      case 4: return UnknownError("proto: Definition: wiretype end group for non-group");
      default: return UnknownError(StrCat("proto: illegal wireType ", tag & 7));
    }
    if ((tag & 7) == 0) continue;
    if (value > bytes.size()) return cut;
    bytes.remove_prefix(static_cast<size_t>(value));
  }
  return OkStatus();
}

StatusOr<std::string> ReadStdinDefinition(bool no_cache) {
  struct stat st{};
  if (::fstat(STDIN_FILENO, &st) == 0 && S_ISCHR(st.st_mode)) {
    return UnknownError("please specify --frontend or pipe LLB definition to stdin");
  }
  ASSIGN_OR_RETURN(std::string bytes, ReadToEnd(STDIN_FILENO));
  pb::Definition definition;
  if (!definition.ParseFromString(bytes)) {
    Status fault = CheckWire(bytes);
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
