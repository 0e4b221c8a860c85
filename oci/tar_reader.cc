// Reading of archives: V7, USTAR, PAX, GNU. Sparse maps are in tar_sparse.cc.
#include <algorithm>
#include <cstring>
#include <vector>

#include "oci/tar.h"
#include "oci/tar_format.h"
#include "oci/tar_parse.h"

namespace kiln::oci {
namespace tar {

Status InvalidHeader() { return InvalidArgumentError("archive/tar: invalid tar header"); }

std::string_view TextIn(const char* block, Field field) {
  std::string_view text(block + field.offset, field.size);
  return text.substr(0, std::min(text.find('\0'), text.size()));
}

namespace {
bool ParseBase256(std::string_view bytes, int64_t* value) {
  unsigned char invert = (bytes[0] & 0x40) != 0 ? 0xff : 0;
  uint64_t x = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto c = static_cast<unsigned char>(static_cast<unsigned char>(bytes[i]) ^ invert);
    if (i == 0) c &= 0x7f;
    if ((x >> 56) > 0) return false;
    x = x << 8 | c;
  }
  if ((x >> 63) > 0) return false;
  *value = invert != 0 ? ~static_cast<int64_t>(x) : static_cast<int64_t>(x);
  return true;
}
}  // namespace

StatusOr<int64_t> NumberIn(const char* block, Field field) {
  std::string_view text(block + field.offset, field.size);
  int64_t value = 0;
  if ((static_cast<unsigned char>(text[0]) & 0x80) != 0) {
    if (!ParseBase256(text, &value)) return InvalidHeader();
    return value;
  }
  auto blank = [](char c) { return c == ' ' || c == '\0'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  text = text.substr(0, std::min(text.find('\0'), text.size()));
  for (char c : text) {
    if (c < '0' || c > '7' || value > (INT64_MAX >> 3)) return InvalidHeader();
    value = value << 3 | (c - '0');
  }
  return value;
}

namespace {

StatusOr<TarTime> ParsePaxTime(std::string_view text) {
  std::string_view whole, fraction;
  StrCut(text, ".", &whole, &fraction);
  TarTime time;
  if (!ParseInt64(whole, &time.seconds)) return InvalidHeader();
  int64_t nanos = 0;
  for (size_t i = 0; i < std::max<size_t>(9, fraction.size()); ++i) {
    char c = i < fraction.size() ? fraction[i] : '0';
    if (c < '0' || c > '9') return InvalidHeader();
    if (i < 9) nanos = nanos * 10 + (c - '0');
  }
  if (whole.starts_with('-') && nanos > 0) {
    --time.seconds;
    nanos = 1'000'000'000 - nanos;
  }
  time.nanos = nanos;
  return time;
}

Status SetPaxField(const std::string& key, const std::string& value, TarHeader& header) {
  auto number = [&](int64_t& field) {
    return ParseInt64(value, &field) ? OkStatus() : InvalidHeader();
  };
  if (key == "path") {
    header.name = value;
  } else if (key == "linkpath") {
    header.link_name = value;
  } else if (key == "uname") {
    header.uname = value;
  } else if (key == "gname") {
    header.gname = value;
  } else if (key == "uid") {
    return number(header.uid);
  } else if (key == "gid") {
    return number(header.gid);
  } else if (key == "size") {
    return number(header.size);
  } else if (key == "mtime") {
    ASSIGN_OR_RETURN(header.mtime, ParsePaxTime(value));
  } else if (key == "atime") {
    ASSIGN_OR_RETURN(header.atime, ParsePaxTime(value));
  } else if (key == "ctime") {
    ASSIGN_OR_RETURN(header.ctime, ParsePaxTime(value));
  }
  return OkStatus();
}

// "%d key=value\n": takes one record from the front of `text`.
Status TakePaxRecord(std::string_view& text, std::string* key, std::string* value) {
  std::string_view digits, rest;
  int64_t size = 0;
  if (!StrCut(text, " ", &digits, &rest) || !ParseInt64(digits, &size) || size < 5 ||
      size > static_cast<int64_t>(text.size())) {
    return InvalidHeader();
  }
  std::string_view record = text.substr(0, static_cast<size_t>(size));
  if (record.size() <= digits.size() + 1 || record.back() != '\n') return InvalidHeader();
  text.remove_prefix(record.size());
  record = record.substr(digits.size() + 1, record.size() - digits.size() - 2);
  std::string_view k, v;
  if (!StrCut(record, "=", &k, &v) || k.empty() || Contains(k, std::string_view("\0", 1))) {
    return InvalidHeader();
  }
  bool name = k == "path" || k == "linkpath" || k == "uname" || k == "gname";
  if (name && Contains(v, std::string_view("\0", 1))) return InvalidHeader();
  *key = k;
  *value = v;
  return OkStatus();
}

// Records of one extended header. The repeated keys of sparse format 0.0 become one
// "GNU.sparse.map" with commas, as in format 0.1.
StatusOr<std::map<std::string, std::string>> ParsePax(std::string_view text) {
  std::map<std::string, std::string> records;
  std::vector<std::string> map;
  while (!text.empty()) {
    std::string key, value;
    RETURN_IF_ERROR(TakePaxRecord(text, &key, &value));
    if (key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes") {
      bool is_offset = key == "GNU.sparse.offset";
      if ((map.size() % 2 == 0) != is_offset || Contains(value, ",")) return InvalidHeader();
      map.push_back(std::move(value));
    } else {
      records[key] = std::move(value);
    }
  }
  if (!map.empty()) records["GNU.sparse.map"] = StrJoin(map, ",");
  return records;
}

}  // namespace
}  // namespace tar

namespace {

constexpr size_t kBufferBytes = 256 << 10;

Status UnexpectedEnd() { return DataLossError("unexpected EOF"); }
bool IsZero(const char* block) {
  return std::all_of(block, block + tar::kBlock, [](char c) { return c == '\0'; });
}
bool EndsInNul(const char* block, tar::Field field) {
  return block[field.offset + field.size - 1] == '\0';
}

// What Go would call the format of a well-formed USTAR block.
bool IsStrictUstar(const char* block) {
  bool ascii = std::all_of(block, block + tar::kBlock,
                           [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  for (tar::Field field : {tar::kSize, tar::kMode, tar::kUid, tar::kGid, tar::kMtime,
                           tar::kDevMajor, tar::kDevMinor}) {
    if (!EndsInNul(block, field)) return false;
  }
  return ascii;
}

}  // namespace

TarReader::TarReader(ReadFn in) : in_(std::move(in)) { buffer_.resize(kBufferBytes); }

// Some bytes, at most `limit`; empty at the end of the input.
StatusOr<std::string_view> TarReader::Take(int64_t limit) {
  if (begin_ == end_) {
    ASSIGN_OR_RETURN(end_, in_(std::span<char>(buffer_)));
    begin_ = 0;
  }
  size_t count = static_cast<size_t>(
      std::min<int64_t>(limit, static_cast<int64_t>(end_ - begin_)));
  std::string_view bytes(buffer_.data() + begin_, count);
  begin_ += count;
  return bytes;
}

// False at the end of the input; a part of a block is an error.
StatusOr<bool> TarReader::ReadBlock(char* block) {
  size_t have = 0;
  while (have < tar::kBlock) {
    ASSIGN_OR_RETURN(std::string_view bytes, Take(static_cast<int64_t>(tar::kBlock - have)));
    if (bytes.empty()) return have == 0 ? StatusOr<bool>(false) : UnexpectedEnd();
    std::memcpy(block + have, bytes.data(), bytes.size());
    have += bytes.size();
  }
  return true;
}

Status TarReader::SkipRest() {
  int64_t left = physical_ + static_cast<int64_t>(padding_);
  // The padding of the last entry may be missing in careless archives.
  while (left > 0) {
    ASSIGN_OR_RETURN(std::string_view bytes, Take(left));
    if (bytes.empty()) {
      if (left > static_cast<int64_t>(padding_)) return UnexpectedEnd();
      break;
    }
    left -= static_cast<int64_t>(bytes.size());
  }
  physical_ = logical_ = logical_size_ = 0;
  padding_ = 0;
  extents_.clear();
  sparse_ = false;
  return OkStatus();
}

StatusOr<std::string> TarReader::ReadSpecial(int64_t size) {
  if (size < 0 || size > static_cast<int64_t>(tar::kMaxSpecial)) {
    return InvalidArgumentError("archive/tar: header field too long");
  }
  std::string text;
  while (static_cast<int64_t>(text.size()) < size) {
    ASSIGN_OR_RETURN(std::string_view bytes, Take(size - static_cast<int64_t>(text.size())));
    if (bytes.empty()) return UnexpectedEnd();
    text += bytes;
  }
  physical_ = 0;
  padding_ = tar::PaddingOf(size);
  RETURN_IF_ERROR(SkipRest());
  return text;
}

Status TarReader::ParseHeader(const char* block, TarHeader& header) {
  ASSIGN_OR_RETURN(int64_t sum, tar::NumberIn(block, tar::kChecksum));
  if (sum != tar::Checksum(block, false) && sum != tar::Checksum(block, true)) {
    return tar::InvalidHeader();
  }
  header.type = block[tar::kType];
  header.name = tar::TextIn(block, tar::kName);
  header.link_name = tar::TextIn(block, tar::kLinkName);
  ASSIGN_OR_RETURN(header.size, tar::NumberIn(block, tar::kSize));
  ASSIGN_OR_RETURN(header.mode, tar::NumberIn(block, tar::kMode));
  ASSIGN_OR_RETURN(header.uid, tar::NumberIn(block, tar::kUid));
  ASSIGN_OR_RETURN(header.gid, tar::NumberIn(block, tar::kGid));
  ASSIGN_OR_RETURN(header.mtime.seconds, tar::NumberIn(block, tar::kMtime));
  std::string_view magic(block + tar::kMagic.offset, tar::kMagic.size);
  bool ustar = magic == tar::kUstarMagic, gnu = magic == tar::kGnuMagic;
  if (!ustar && !gnu) return OkStatus();
  header.uname = tar::TextIn(block, tar::kUname);
  header.gname = tar::TextIn(block, tar::kGname);
  ASSIGN_OR_RETURN(header.dev_major, tar::NumberIn(block, tar::kDevMajor));
  ASSIGN_OR_RETURN(header.dev_minor, tar::NumberIn(block, tar::kDevMinor));
  if (gnu) {
    header.format = TarHeader::Format::kGnu;
    if (block[345] != '\0') {
      StatusOr<int64_t> atime = tar::NumberIn(block, {345, 12});
      if (atime.ok()) header.atime = TarTime{*atime, 0};
    }
    if (block[357] != '\0') {
      StatusOr<int64_t> ctime = tar::NumberIn(block, {357, 12});
      if (ctime.ok()) header.ctime = TarTime{*ctime, 0};
    }
    return OkStatus();
  }
  if (IsStrictUstar(block)) header.format = TarHeader::Format::kUstar;
  std::string_view prefix = tar::TextIn(block, tar::kPrefix);
  if (!prefix.empty()) header.name = StrCat(prefix, "/", header.name);
  return OkStatus();
}

StatusOr<std::optional<TarHeader>> TarReader::Next() {
  RETURN_IF_ERROR(SkipRest());
  std::map<std::string, std::string> records;
  std::string long_name, long_link;
  bool extended = false;
  for (;;) {
    char block[tar::kBlock];
    ASSIGN_OR_RETURN(bool more, ReadBlock(block));
    if (!more) return std::optional<TarHeader>();
    if (IsZero(block)) {
      ASSIGN_OR_RETURN(more, ReadBlock(block));
      if (more && !IsZero(block)) return tar::InvalidHeader();
      return std::optional<TarHeader>();
    }
    TarHeader header;
    RETURN_IF_ERROR(ParseHeader(block, header));
    if (header.type == 'x' || header.type == 'g') {
      ASSIGN_OR_RETURN(std::string text, ReadSpecial(header.size));
      ASSIGN_OR_RETURN(records, tar::ParsePax(text));
      extended = true;
      if (header.type == 'x') continue;
      TarHeader global;
      global.type = 'g';
      global.name = header.name;
      global.pax = std::move(records);
      global.format = header.format;
      return std::optional<TarHeader>(std::move(global));
    }
    if (header.type == 'L' || header.type == 'K') {
      ASSIGN_OR_RETURN(std::string text, ReadSpecial(header.size));
      (header.type == 'L' ? long_name : long_link) = text.substr(0, text.find('\0'));
      continue;
    }
    for (const auto& [key, value] : records) {
      if (!value.empty()) RETURN_IF_ERROR(tar::SetPaxField(key, value, header));
    }
    if (extended) {
      header.pax = std::move(records);
      bool ustar = header.format == TarHeader::Format::kUstar;
      header.format = ustar ? TarHeader::Format::kPax : TarHeader::Format::kUnknown;
    }
    if (!long_name.empty()) header.name = long_name;
    if (!long_link.empty()) header.link_name = long_link;
    if (header.type == '\0') header.type = header.name.ends_with('/') ? '5' : '0';
    RETURN_IF_ERROR(HandleSparse(block, header));
    return std::optional<TarHeader>(std::move(header));
  }
}

StatusOr<TarReader::Chunk> TarReader::ReadChunk() {
  Chunk chunk;
  int64_t limit = physical_;
  if (sparse_) {
    while (!extents_.empty() && extents_.front().length == 0) extents_.pop_front();
    int64_t next = extents_.empty() ? logical_size_ : extents_.front().offset;
    if (next > logical_) {
      chunk.hole = next - logical_;
      logical_ = next;
      return chunk;
    }
    if (extents_.empty()) return chunk;
    limit = std::min(limit, extents_.front().length);
    if (limit == 0) return UnexpectedEnd();
  }
  if (limit == 0) return chunk;
  ASSIGN_OR_RETURN(chunk.data, Take(limit));
  if (chunk.data.empty()) return UnexpectedEnd();
  auto count = static_cast<int64_t>(chunk.data.size());
  physical_ -= count;
  logical_ += count;
  if (sparse_) {
    extents_.front().offset += count;
    extents_.front().length -= count;
  }
  return chunk;
}

Status TarReader::Drain() {
  RETURN_IF_ERROR(SkipRest());
  for (;;) {
    ASSIGN_OR_RETURN(std::string_view bytes, Take(INT64_MAX));
    if (bytes.empty()) return OkStatus();
  }
}

}  // namespace kiln::oci
