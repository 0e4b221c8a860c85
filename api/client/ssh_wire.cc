// See ssh_wire.h.
#include "api/client/ssh_wire.h"

namespace kiln::api {

void PutU32(uint32_t number, std::string* out) {
  for (int shift = 24; shift >= 0; shift -= 8) *out += static_cast<char>(number >> shift & 0xff);
}

void PutString(std::string_view text, std::string* out) {
  PutU32(static_cast<uint32_t>(text.size()), out);
  *out += text;
}

void PutMpint(std::string_view bytes, std::string* out) {
  while (!bytes.empty() && bytes.front() == '\0') bytes.remove_prefix(1);
  bool sign = !bytes.empty() && (static_cast<unsigned char>(bytes.front()) & 0x80) != 0;
  PutString((sign ? std::string(1, '\0') : std::string()) + std::string(bytes), out);
}

uint32_t SshReader::U32() {
  uint32_t number = 0;
  for (char c : Take(4)) number = number << 8 | static_cast<unsigned char>(c);
  return number;
}

std::string_view SshReader::String() { return Take(U32()); }

std::string_view SshReader::Take(size_t count) {
  if (!ok_ || count > rest_.size()) {
    ok_ = false;
    rest_ = {};
    return {};
  }
  std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

}  // namespace kiln::api
