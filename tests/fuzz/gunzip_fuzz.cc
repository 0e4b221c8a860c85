// Any bytes as a gzip stream: the fast way and zlib's agree on what is in it.
#include <cstdint>
#include <cstdlib>

#include "oci/compress.h"

namespace {

// The first byte says how large pieces are, the next two that it is gzip.
std::string Inflated(std::string_view input, kiln::oci::Inflater inflater, bool* whole) {
  kiln::oci::ReadFn read = kiln::oci::Decompress(kiln::oci::ReadFrom(input.substr(1)), inflater);
  std::string all, buffer(1 + static_cast<unsigned char>(input[0]) * 40U, '\0');
  while (all.size() < (1 << 20)) {
    auto count = read(buffer);
    *whole = count.ok() && *count == 0;
    if (!count.ok() || *count == 0) break;
    all.append(buffer, 0, *count);
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size < 3) return 0;
  std::string input(reinterpret_cast<const char*>(bytes), size);
  input[1] = '\x1f';
  input[2] = '\x8b';
  bool fast_whole = false, zlib_whole = false;
  std::string fast = Inflated(input, kiln::oci::Inflater::kFastest, &fast_whole);
  std::string zlib = Inflated(input, kiln::oci::Inflater::kZlib, &zlib_whole);
  if (fast_whole && zlib_whole && fast != zlib) std::abort();
  // What zlib takes as whole, the other must not refuse; the reverse is as bad.
  if (fast_whole != zlib_whole) std::abort();
  return 0;
}
