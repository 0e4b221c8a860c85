// Small eStargz archives, packed as our exporter packs them, for tests.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "oci/estargz.h"
#include "oci/tar.h"

namespace kiln::oci::testing {

using PackedEntries = std::vector<std::pair<TarHeader, std::string>>;

inline TarHeader TarEntry(char type, std::string name, std::string link = "") {
  TarHeader header;
  header.type = type;
  header.name = std::move(name);
  header.link_name = std::move(link);
  header.mode = type == '5' ? 0755 : 0644;
  header.mtime = {1700000000, 0};
  return header;
}

// Bytes that do not become fewer.
inline std::string Noise(size_t bytes, uint32_t seed = 1) {
  std::string noise(bytes, '\0');
  for (char& c : noise) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return noise;
}

struct PackedBytes {
  std::string bytes;
  std::map<std::string, std::string> notes;  // annotations of its descriptor
};

inline PackedBytes Pack(const PackedEntries& entries) {
  PackedBytes packed;
  auto compressor = NewEstargzCompressor(std::nullopt, AppendTo(packed.bytes));
  TarWriter tar([&](std::string_view bytes) { return compressor->Write(bytes); });
  for (auto [header, data] : entries) {
    header.size = static_cast<int64_t>(data.size());
    EXPECT_TRUE(tar.WriteHeader(header).ok());
    EXPECT_TRUE(tar.Write(data).ok());
  }
  EXPECT_TRUE(tar.Close().ok());
  EXPECT_TRUE(compressor->Finish().ok());
  packed.notes = compressor->Notes();
  return packed;
}

}  // namespace kiln::oci::testing
