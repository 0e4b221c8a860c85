// Walks tags and lengths; values are not looked at.
#include "llb/wire_fault.h"

#include <cstdint>

#include "base/strings.h"

namespace kiln::llb {

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

}  // namespace kiln::llb
