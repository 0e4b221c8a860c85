// Sparse files in archives: GNU's old form and PAX 0.0, 0.1 and 1.0. A map lists the
// extents that have data; what lies between is holes. Reading proper is tar_reader.cc.
#include <algorithm>
#include <vector>

#include "base/file.h"
#include "oci/tar.h"
#include "oci/tar_format.h"
#include "oci/tar_parse.h"

namespace kiln::oci {
namespace {

constexpr size_t kMaxExtents = 1 << 20;

}  // namespace

// Sets up the data of the entry just parsed.
Status TarReader::HandleSparse(const char* block, TarHeader& header) {
  bool data = !tar::IsHeaderOnly(header.type);
  if (data && header.size < 0) return tar::InvalidHeader();
  physical_ = data ? header.size : 0;
  padding_ = tar::PaddingOf(physical_);
  logical_ = 0;
  auto record = [&](const char* key) {
    auto it = header.pax.find(key);
    return it == header.pax.end() ? std::string() : it->second;
  };
  std::string major = record("GNU.sparse.major");
  bool pax = !major.empty() || !record("GNU.sparse.map").empty();
  if (header.type == 'S') {
    header.type = '0';
    RETURN_IF_ERROR(ReadGnuSparse(block, header));
  } else if (data && pax) {
    if (!major.empty() && major != "0" && major != "1") return OkStatus();
    std::string real_name = record("GNU.sparse.name");
    if (!real_name.empty()) header.name = real_name;
    std::string real_size = record("GNU.sparse.size");
    if (real_size.empty()) real_size = record("GNU.sparse.realsize");
    if (!real_size.empty() && !ParseInt64(real_size, &header.size)) return tar::InvalidHeader();
    RETURN_IF_ERROR(ReadPaxSparse(header));
  } else {
    return OkStatus();
  }
  sparse_ = true;
  logical_size_ = header.size;
  int64_t at = 0, total = 0;
  for (const Extent& extent : extents_) {
    if (extent.offset < at || extent.length < 0 || extent.offset > header.size - extent.length) {
      return tar::InvalidHeader();
    }
    at = extent.offset + extent.length;
    total += extent.length;
  }
  return total == physical_ ? OkStatus() : tar::InvalidHeader();
}

// Four extents in the header block, 21 in each block that follows while its flag is set.
Status TarReader::ReadGnuSparse(const char* block, TarHeader& header) {
  std::string_view magic(block + tar::kMagic.offset, tar::kMagic.size);
  if (magic != tar::kGnuMagic) return tar::InvalidHeader();
  ASSIGN_OR_RETURN(header.size, tar::NumberIn(block, {483, 12}));
  char next[tar::kBlock];
  const char* at = block;
  size_t offset = 386, count = 4;
  for (;;) {
    for (size_t i = 0; i < count && at[offset + 24 * i] != '\0'; ++i) {
      Extent extent;
      ASSIGN_OR_RETURN(extent.offset, tar::NumberIn(at, {offset + 24 * i, 12}));
      ASSIGN_OR_RETURN(extent.length, tar::NumberIn(at, {offset + 24 * i + 12, 12}));
      extents_.push_back(extent);
    }
    if (at[offset + 24 * count] == '\0') return OkStatus();
    if (extents_.size() > kMaxExtents) return tar::InvalidHeader();
    ASSIGN_OR_RETURN(bool more, ReadBlock(next));
    if (!more) return DataLossError("unexpected EOF");
    at = next;
    offset = 0;
    count = 21;
  }
}

// One line of digits of a 1.0 map, which stands before the data.
StatusOr<std::string> TarReader::ReadLine() {
  std::string line;
  for (;;) {
    if (physical_ == 0 || line.size() > 32) return tar::InvalidHeader();
    ASSIGN_OR_RETURN(std::string_view byte, Take(1));
    if (byte.empty()) return DataLossError("unexpected EOF");
    --physical_;
    if (byte[0] == '\n') return line;
    line += byte[0];
  }
}

Status TarReader::ReadPaxSparse(TarHeader& header) {
  if (header.pax["GNU.sparse.major"] != "1") {
    std::string_view map = header.pax["GNU.sparse.map"];
    std::vector<std::string_view> numbers;
    if (!map.empty()) numbers = StrSplit(map, ',');
    if (numbers.size() % 2 != 0) return tar::InvalidHeader();
    for (size_t i = 0; i < numbers.size(); i += 2) {
      Extent extent;
      if (!ParseInt64(numbers[i], &extent.offset) || !ParseInt64(numbers[i + 1], &extent.length)) {
        return tar::InvalidHeader();
      }
      extents_.push_back(extent);
    }
    return OkStatus();
  }
  int64_t before = physical_;
  auto number = [&]() -> StatusOr<int64_t> {
    ASSIGN_OR_RETURN(std::string line, ReadLine());
    int64_t value = 0;
    if (!ParseInt64(line, &value)) return tar::InvalidHeader();
    return value;
  };
  ASSIGN_OR_RETURN(int64_t count, number());
  if (count < 0 || count > static_cast<int64_t>(kMaxExtents)) return tar::InvalidHeader();
  for (int64_t i = 0; i < count; ++i) {
    Extent extent;
    ASSIGN_OR_RETURN(extent.offset, number());
    ASSIGN_OR_RETURN(extent.length, number());
    extents_.push_back(extent);
  }
  auto skip = static_cast<int64_t>(tar::PaddingOf(before - physical_));
  while (skip > 0) {
    if (physical_ < skip) return tar::InvalidHeader();
    ASSIGN_OR_RETURN(std::string_view bytes, Take(skip));
    if (bytes.empty()) return DataLossError("unexpected EOF");
    skip -= static_cast<int64_t>(bytes.size());
    physical_ -= static_cast<int64_t>(bytes.size());
  }
  return OkStatus();
}

}  // namespace kiln::oci
