// Where the fields of a tar block are, and its numbers. For tar_writer.cc and
// tar_reader.cc only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kiln::oci::tar {

inline constexpr size_t kBlock = 512;
inline constexpr size_t kMaxSpecial = 1 << 20;  // a PAX header or long name, as in Go

struct Field {
  size_t offset;
  size_t size;
};
inline constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12},
    kMtime{136, 12}, kChecksum{148, 8}, kLinkName{157, 100}, kMagic{257, 8}, kUname{265, 32},
    kGname{297, 32}, kDevMajor{329, 8}, kDevMinor{337, 8}, kPrefix{345, 155};
inline constexpr size_t kType = 156;
inline constexpr std::string_view kUstarMagic{"ustar\00000", 8};
inline constexpr std::string_view kGnuMagic{"ustar  \0", 8};

inline size_t PaddingOf(int64_t size) {
  return static_cast<size_t>(-static_cast<uint64_t>(size) & (kBlock - 1));
}
// Links, devices, folders and fifos have no data, whatever their size field says.
inline bool IsHeaderOnly(char type) { return type >= '1' && type <= '6'; }
inline int64_t Checksum(const char* block, bool is_signed) {
  int64_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    bool own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    char c = own ? ' ' : block[i];
    sum += is_signed ? static_cast<signed char>(c) : static_cast<unsigned char>(c);
  }
  return sum;
}

}  // namespace kiln::oci::tar
