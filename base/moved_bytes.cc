#include "base/moved_bytes.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace kiln {

void ForgetMovedBytes() {
  // The C library's own, since the compiler's does without vector registers. Beyond that
  // size it uses none that smaller moves do not.
  static void* (*volatile const move)(void*, const void*, size_t) = std::memmove;
  static constexpr std::array<char, 2048> kZeros{};
  std::array<char, kZeros.size()> copy;
  for (size_t size = 16; size <= copy.size(); size *= 2) move(copy.data(), kZeros.data(), size);
}

}  // namespace kiln
