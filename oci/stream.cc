// Small stages of byte streams. See stream.h.
#include "oci/stream.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace kiln::oci {

ReadFn ReadFrom(std::string_view text) {
  auto rest = std::make_shared<std::string_view>(text);
  return [rest](std::span<char> buffer) -> StatusOr<size_t> {
    size_t count = std::min(buffer.size(), rest->size());
    std::memcpy(buffer.data(), rest->data(), count);
    rest->remove_prefix(count);
    return count;
  };
}

WriteFn AppendTo(std::string& out) {
  return [&out](std::string_view bytes) {
    out += bytes;
    return OkStatus();
  };
}

StatusOr<std::string> ReadAll(const ReadFn& in, size_t limit) {
  std::string out;
  Status over = ResourceExhaustedError(StrCat("more than ", limit, " bytes"));
  RETURN_IF_ERROR(Copy(in, [&](std::string_view bytes) {
    if (bytes.size() > limit - out.size()) return over;
    out += bytes;
    return OkStatus();
  }));
  return out;
}

StatusOr<int64_t> Copy(const ReadFn& in, const WriteFn& out) {
  std::string buffer(128 << 10, '\0');
  int64_t total = 0;
  for (;;) {
    ASSIGN_OR_RETURN(size_t count, in(std::span<char>(buffer)));
    if (count == 0) return total;
    RETURN_IF_ERROR(out(std::string_view(buffer).substr(0, count)));
    total += static_cast<int64_t>(count);
  }
}

}  // namespace kiln::oci
