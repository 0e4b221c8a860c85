// Protobuf fields by hand, for messages whose classes belong to a higher layer.
#pragma once

#include <string>
#include <string_view>

namespace kiln::llb {

// A length-delimited field: text, bytes or a message.
inline void AppendWireField(std::string* out, int field, std::string_view bytes) {
  out->push_back(static_cast<char>(field << 3 | 2));
  size_t size = bytes.size();
  for (; size >= 0x80; size >>= 7) out->push_back(static_cast<char>((size & 0x7f) | 0x80));
  out->push_back(static_cast<char>(size));
  *out += bytes;
}

}  // namespace kiln::llb
