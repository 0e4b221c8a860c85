// Writing of archives with the bytes of Go's archive/tar. The reader is tar_reader.cc.
#include <algorithm>
#include <array>

#include "base/file.h"
#include "oci/tar.h"
#include "oci/tar_format.h"

namespace kiln::oci {
namespace {

using tar::Field;

const std::string kZeros(tar::kBlock, '\0');

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c != '\0' && static_cast<unsigned char>(c) < 0x80; });
}

std::string ToAscii(std::string_view text) {
  std::string out;
  std::copy_if(text.begin(), text.end(), std::back_inserter(out),
               [](char c) { return c != '\0' && static_cast<unsigned char>(c) < 0x80; });
  return out;
}

bool FitsInOctal(size_t size, int64_t value) {
  return value >= 0 && (size >= 22 || value < (int64_t{1} << ((size - 1) * 3)));
}

bool FitsInBase256(size_t size, int64_t value) {
  if (size >= 9) return true;
  int64_t limit = int64_t{1} << ((size - 1) * 8);
  return value >= -limit && value < limit;
}

// The split of a long name over the prefix and name fields of USTAR.
bool SplitUstarPath(std::string_view name, std::string_view* prefix, std::string_view* suffix) {
  size_t length = name.size();
  if (length <= tar::kName.size || !IsAscii(name)) return false;
  if (length > tar::kPrefix.size + 1) {
    length = tar::kPrefix.size + 1;
  } else if (name[length - 1] == '/') {
    --length;
  }
  size_t slash = name.substr(0, length).rfind('/');
  if (slash == std::string_view::npos || slash == 0) return false;
  size_t rest = name.size() - slash - 1;
  if (rest > tar::kName.size || rest == 0 || slash > tar::kPrefix.size) return false;
  *prefix = name.substr(0, slash);
  *suffix = name.substr(slash + 1);
  return true;
}

std::string PaxRecord(const std::string& key, const std::string& value) {
  size_t size = key.size() + value.size() + 3;
  size += std::to_string(size).size();
  std::string record = StrCat(size, " ", key, "=", value, "\n");
  return record.size() == size ? record : StrCat(record.size(), " ", key, "=", value, "\n");
}

std::string PaxTime(TarTime time) {
  if (time.nanos == 0) return std::to_string(time.seconds);
  int64_t seconds = time.seconds, nanos = time.nanos;
  std::string sign;
  if (seconds < 0) {
    sign = "-";
    seconds = -(seconds + 1);
    nanos = 1'000'000'000 - nanos;
  }
  std::string digits = std::to_string(nanos);
  digits.insert(0, 9 - digits.size(), '0');
  digits.resize(digits.find_last_not_of('0') + 1);
  return StrCat(sign, seconds, ".", digits);
}

// Which formats can hold a header, and the records that PAX then needs.
class FormatChoice {
 public:
  explicit FormatChoice(const TarHeader& header) : header_(header) {
    Text(header.name, tar::kName, "path");
    Text(header.link_name, tar::kLinkName, "linkpath");
    Text(header.uname, tar::kUname, "uname");
    Text(header.gname, tar::kGname, "gname");
    Number(header.mode, tar::kMode, "");
    Number(header.uid, tar::kUid, "uid");
    Number(header.gid, tar::kGid, "gid");
    Number(header.size, tar::kSize, "size");
    Number(header.dev_major, tar::kDevMajor, "");
    Number(header.dev_minor, tar::kDevMinor, "");
    Times();
    Records();
    using Format = TarHeader::Format;
    if (header.format == Format::kUstar) pax = gnu = false;
    if (header.format == Format::kGnu) pax = ustar = false;
    if (header.format == Format::kPax) {
      gnu = false;
      if (prefer_pax_) ustar = false;
    }
  }

  bool ustar = true, pax = true, gnu = true;
  std::map<std::string, std::string> records;

 private:
  void Keep(const std::string& key, const std::string& value) {
    auto given = header_.pax.find(key);
    if (given != header_.pax.end() && given->second == value) records[key] = value;
  }
  void Text(const std::string& text, Field field, const std::string& key) {
    bool too_long = text.size() > field.size;
    bool path = key == "path" || key == "linkpath";
    if (Contains(text, std::string_view("\0", 1))) {
      ustar = pax = gnu = false;
    } else if (too_long && !path) {
      gnu = false;
    }
    if (too_long || !IsAscii(text)) {
      std::string_view prefix, suffix;
      if (key != "path" || !SplitUstarPath(text, &prefix, &suffix)) ustar = false;
      records[key] = text;
    }
    Keep(key, text);
  }
  void Number(int64_t value, Field field, const std::string& key) {
    if (!FitsInBase256(field.size, value)) gnu = false;
    if (!FitsInOctal(field.size, value)) {
      ustar = false;
      if (key.empty()) {
        pax = false;
      } else {
        records[key] = std::to_string(value);
      }
    }
    Keep(key, std::to_string(value));
  }
  void Times() {
    bool fits = FitsInOctal(tar::kMtime.size, header_.mtime.seconds);
    if (!fits) ustar = false;
    if (!fits || header_.mtime.nanos != 0) {
      prefer_pax_ = true;
      records["mtime"] = PaxTime(header_.mtime);
    }
    Keep("mtime", PaxTime(header_.mtime));
    for (auto [time, key] : {std::pair(header_.atime, "atime"), std::pair(header_.ctime, "ctime")}) {
      if (!time) continue;
      ustar = false;
      prefer_pax_ = true;
      records[key] = PaxTime(*time);
    }
  }
  void Records() {
    static constexpr std::array<std::string_view, 10> kBasic = {
        "path", "linkpath", "size", "uid", "gid", "uname", "gname", "mtime", "atime", "ctime"};
    if (header_.pax.empty()) return;
    for (const auto& [key, value] : header_.pax) {
      bool basic = std::find(kBasic.begin(), kBasic.end(), key) != kBasic.end();
      if (header_.type == 'g' || (!basic && !key.starts_with("GNU.sparse."))) {
        records.emplace(key, value);
      }
    }
    ustar = gnu = false;
  }

  const TarHeader& header_;
  bool prefer_pax_ = false;
};

// One block while it is filled.
class Block {
 public:
  void Text(Field field, std::string_view text) {
    char* at = bytes_.data() + field.offset;
    std::copy_n(text.data(), std::min(field.size, text.size()), at);
    // Some readers take a cut name that ends in a slash for a folder.
    if (text.size() > field.size && at[field.size - 1] == '/') {
      size_t n = field.size - 1;
      while (n > 0 && at[n - 1] == '/') --n;
      at[n] = '\0';
    }
  }
  void Octal(Field field, int64_t value) {
    if (!FitsInOctal(field.size, value)) value = 0;
    char* at = bytes_.data() + field.offset;
    for (size_t i = field.size - 1; i-- > 0; value >>= 3) {
      at[i] = static_cast<char>('0' + (value & 7));
    }
    at[field.size - 1] = '\0';
  }
  void Numeric(Field field, int64_t value) {
    if (FitsInOctal(field.size, value)) return Octal(field, value);
    char* at = bytes_.data() + field.offset;
    for (size_t i = field.size; i-- > 0; value >>= 8) at[i] = static_cast<char>(value);
    at[0] = static_cast<char>(at[0] | '\x80');
  }
  void Type(char type) { bytes_[tar::kType] = type; }
  std::string_view Seal(std::string_view magic) {
    Text(tar::kMagic, magic);
    Octal({tar::kChecksum.offset, 7}, tar::Checksum(bytes_.data(), false));
    bytes_[tar::kChecksum.offset + 7] = ' ';
    return {bytes_.data(), bytes_.size()};
  }

 private:
  std::array<char, tar::kBlock> bytes_{};
};

Block MainBlock(const TarHeader& header, std::string_view name, bool ascii, bool base256) {
  Block block;
  auto text = [&](Field field, std::string_view value) {
    block.Text(field, ascii && !IsAscii(value) ? ToAscii(value) : std::string(value));
  };
  auto number = [&](Field field, int64_t value) {
    base256 ? block.Numeric(field, value) : block.Octal(field, value);
  };
  block.Type(header.type);
  text(tar::kName, name);
  text(tar::kLinkName, header.link_name);
  number(tar::kMode, header.mode);
  number(tar::kUid, header.uid);
  number(tar::kGid, header.gid);
  number(tar::kSize, header.size);
  number(tar::kMtime, header.mtime.seconds);
  text(tar::kUname, header.uname);
  text(tar::kGname, header.gname);
  number(tar::kDevMajor, header.dev_major);
  number(tar::kDevMinor, header.dev_minor);
  return block;
}

Status CheckWritable(const TarHeader& header, const FormatChoice& choice) {
  bool plain = header.type == '0' || header.type == '3' || header.type == '4' || header.type == '6';
  if (plain && header.name.ends_with('/')) {
    return InvalidArgumentError(
        "archive/tar: cannot encode header: filename may not have trailing slash");
  }
  if (header.size < 0 && !tar::IsHeaderOnly(header.type)) {
    return InvalidArgumentError(
        "archive/tar: cannot encode header: negative size on header-only type");
  }
  if (!choice.ustar && !choice.pax && !choice.gnu) {
    return InvalidArgumentError(
        StrCat("archive/tar: cannot encode header: ", Quote(header.name)));
  }
  return OkStatus();
}

// dir/PaxHeaders.0/name, as Go names extended headers.
std::string PaxHeaderName(std::string_view name) {
  size_t slash = name.rfind('/');
  std::string_view dir = slash == std::string_view::npos ? "" : name.substr(0, slash + 1);
  std::string_view file = slash == std::string_view::npos ? name : name.substr(slash + 1);
  return CleanPath(StrCat(dir, dir.empty() ? "" : "/", "PaxHeaders.0", file.empty() ? "" : "/",
                          file));
}

}  // namespace

Status TarWriter::Flush() {
  if (remaining_ > 0) {
    return InvalidArgumentError(StrCat("archive/tar: missed writing ", remaining_, " bytes"));
  }
  if (padding_ > 0) RETURN_IF_ERROR(out_(std::string_view(kZeros).substr(0, padding_)));
  padding_ = 0;
  return OkStatus();
}

Status TarWriter::WriteRaw(std::string_view name, std::string_view data, char flag, bool gnu) {
  std::string shown = ToAscii(name).substr(0, tar::kName.size);
  Block block;
  block.Type(flag);
  block.Text(tar::kName, TrimSuffix(shown, "/"));
  for (Field field : {tar::kMode, tar::kUid, tar::kGid, tar::kMtime}) block.Octal(field, 0);
  block.Octal(tar::kSize, static_cast<int64_t>(data.size()));
  RETURN_IF_ERROR(out_(block.Seal(gnu ? tar::kGnuMagic : tar::kUstarMagic)));
  RETURN_IF_ERROR(out_(data));
  return out_(std::string_view(kZeros).substr(0, tar::PaddingOf(static_cast<int64_t>(data.size()))));
}

Status TarWriter::WriteHeader(const TarHeader& given) {
  RETURN_IF_ERROR(Flush());
  TarHeader header = given;
  if (header.format == TarHeader::Format::kUnknown) {
    if (header.mtime.nanos >= 500'000'000) ++header.mtime.seconds;
    header.mtime.nanos = 0;
    header.atime.reset();
    header.ctime.reset();
  }
  FormatChoice choice(header);
  RETURN_IF_ERROR(CheckWritable(header, choice));
  std::string_view name = header.name, prefix;
  if (choice.ustar) {
    SplitUstarPath(header.name, &prefix, &name);
    Block block = MainBlock(header, name, false, false);
    block.Text(tar::kPrefix, prefix);
    RETURN_IF_ERROR(out_(block.Seal(tar::kUstarMagic)));
  } else if (choice.pax) {
    std::string records;
    for (const auto& [key, value] : choice.records) records += PaxRecord(key, value);
    if (records.size() > tar::kMaxSpecial) {
      return InvalidArgumentError("archive/tar: header field too long");
    }
    bool global = header.type == 'g';
    if (global) {
      return WriteRaw(name.empty() ? "GlobalHead.0.0" : name, records, 'g', false);
    }
    if (!records.empty()) RETURN_IF_ERROR(WriteRaw(PaxHeaderName(name), records, 'x', false));
    RETURN_IF_ERROR(out_(MainBlock(header, name, true, false).Seal(tar::kUstarMagic)));
  } else {
    constexpr std::string_view kLongLink = "././@LongLink";
    for (auto [text, flag] : {std::pair(&header.name, 'L'), std::pair(&header.link_name, 'K')}) {
      if (text->size() <= tar::kName.size) continue;
      RETURN_IF_ERROR(WriteRaw(kLongLink, *text + '\0', flag, true));
    }
    Block block = MainBlock(header, name, false, true);
    if (header.atime) block.Numeric({345, 12}, header.atime->seconds);
    if (header.ctime) block.Numeric({357, 12}, header.ctime->seconds);
    RETURN_IF_ERROR(out_(block.Seal(tar::kGnuMagic)));
  }
  remaining_ = tar::IsHeaderOnly(header.type) ? 0 : header.size;
  padding_ = tar::PaddingOf(remaining_);
  return OkStatus();
}

Status TarWriter::Write(std::string_view bytes) {
  if (static_cast<int64_t>(bytes.size()) > remaining_) {
    return OutOfRangeError("archive/tar: write too long");
  }
  remaining_ -= static_cast<int64_t>(bytes.size());
  return out_(bytes);
}

Status TarWriter::Close() {
  RETURN_IF_ERROR(Flush());
  RETURN_IF_ERROR(out_(kZeros));
  return out_(kZeros);
}

}  // namespace kiln::oci
