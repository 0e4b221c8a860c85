// Headers are collected until an entry is known, data is cut into members. See estargz.h.
#include "oci/estargz.h"

#include <libdeflate.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/go_json.h"
#include "base/strings.h"
#include "base/time.h"
#include "oci/tar.h"
#include "oci/tar_parse.h"

namespace kiln::oci {
namespace {

constexpr std::string_view kTocName = "stargz.index.json";
constexpr std::string_view kXattr = "SCHILY.xattr.";
constexpr int64_t kChunkBytes = 4 << 20;
using tar::kBlock;

// gzip with an extra field, an empty stored block, and sums of nothing.
std::string Footer(uint64_t toc_offset) {
  std::string digits(16, '0');
  char text[17];
  char* end = std::to_chars(text, text + 16, toc_offset, 16).ptr;
  std::copy_backward(text, end, digits.data() + 16);
  std::string footer("\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0", 16);
  footer += digits + "STARGZ";
  return footer + std::string("\x01\0\0\xff\xff\0\0\0\0\0\0\0\0", 13);
}

// One line of the table. `name` and `type` only for chunks after the first.
struct TocEntry {
  std::string name, type;
  int64_t size = 0;
  std::string modtime, link_name;
  int64_t mode = 0, uid = 0, gid = 0;
  std::string uname, gname;
  int64_t offset = 0, dev_major = 0, dev_minor = 0;
  std::map<std::string, std::string> xattrs;
  std::string digest;
  int64_t chunk_offset = 0, chunk_size = 0;
  std::string chunk_digest;

  std::string Json() const;
};

std::string TocEntry::Json() const {
  GoJsonObject json;
  json.String("name", name);
  json.String("type", type);
  json.OmitInt("size", size);
  json.OmitString("modtime", modtime);
  json.OmitString("linkName", link_name);
  json.OmitInt("mode", mode);
  json.OmitInt("uid", uid);
  json.OmitInt("gid", gid);
  json.OmitString("userName", uname);
  json.OmitString("groupName", gname);
  json.OmitInt("offset", offset);
  json.OmitInt("devMajor", dev_major);
  json.OmitInt("devMinor", dev_minor);
  if (!xattrs.empty()) {
    GoJsonObject values;
    for (const auto& [key, value] : xattrs) values.String(key, Base64Encode(value));
    json.Raw("xattrs", values.Finish());
  }
  json.OmitString("digest", digest);
  json.OmitInt("chunkOffset", chunk_offset);
  json.OmitInt("chunkSize", chunk_size);
  json.OmitString("chunkDigest", chunk_digest);
  return json.Finish();
}

std::string ModTime(const TarTime& time) {
  int64_t seconds = time.seconds + (time.nanos >= 500'000'000 ? 1 : 0);
  return time.seconds == 0 ? "" : FormatRfc3339(Time::FromSeconds(seconds));
}

StatusOr<std::string> TypeName(char flag) {
  static const std::map<char, std::string> kNames = {
      {'0', "reg"},  {'1', "hardlink"}, {'2', "symlink"}, {'3', "char"},
      {'4', "block"}, {'5', "dir"},     {'6', "fifo"}};
  auto name = kNames.find(flag);
  if (name != kNames.end()) return name->second;
  return InvalidArgumentError(
      StrCat("unsupported input tar entry ", Quote(std::string_view(&flag, 1))));
}

StatusOr<TocEntry> EntryOf(const TarHeader& header) {
  TocEntry entry;
  ASSIGN_OR_RETURN(entry.type, TypeName(header.type));
  entry.name = header.name;
  entry.modtime = ModTime(header.mtime);
  entry.mode = header.mode;
  entry.uid = header.uid;
  entry.gid = header.gid;
  if (header.type == '0') entry.size = header.size;
  if (header.type == '1' || header.type == '2') entry.link_name = header.link_name;
  if (header.type == '3' || header.type == '4') {
    entry.dev_major = header.dev_major;
    entry.dev_minor = header.dev_minor;
  }
  for (const auto& [key, value] : header.pax) {
    if (key.starts_with(kXattr)) entry.xattrs[key.substr(kXattr.size())] = value;
  }
  return entry;
}

std::string NameIfChanged(std::map<int64_t, std::string>& last, int64_t id,
                          const std::string& name) {
  if (name.empty() || last[id] == name) return "";
  return last[id] = name;
}

// Indented by tabs.
std::string TocJson(const std::vector<std::string>& entries) {
  GoJsonObject toc;
  toc.Int("version", 1);
  toc.Raw("entries", entries.empty() ? "null" : StrCat("[", StrJoin(entries, ","), "]"));
  std::string out;
  bool indent = true;
  const std::string spaced = GoJsonIndent(toc.Finish());
  for (size_t i = 0; i < spaced.size(); ++i) {
    bool pair = indent && spaced[i] == ' ';  // two of them a level
    if (pair) ++i;
    indent = pair || spaced[i] == '\n';
    out += pair ? '\t' : spaced[i];
  }
  return out;
}

class EstargzCompressor : public Compressor {
 public:
  EstargzCompressor(std::optional<int> level, WriteFn out)
      : deflate_(libdeflate_alloc_compressor(DeflateLevel(level))), out_(std::move(out)) {}
  ~EstargzCompressor() override { libdeflate_free_compressor(deflate_); }

  Status Write(std::string_view bytes) override;
  Status Finish() override;
  std::map<std::string, std::string> Notes() const override { return notes_; }
  std::optional<Digest> WholeDigest() const override { return hash_.Finish(); }

 private:
  enum class State { kHeader, kData, kPadding, kEnd };

  Status TakeHeader(std::string_view* bytes);
  Status TakeData(std::string_view* bytes);
  Status StartEntry();
  Status BeginChunk();
  Status EndFile();
  Status Put(std::string_view bytes);
  Status CloseMember();

  libdeflate_compressor* deflate_;
  WriteFn out_;
  State state_ = State::kHeader;
  std::string header_;            // blocks of the entry that begins
  size_t header_end_ = kBlock;    // as far as is known
  size_t padding_ = 0;

  std::string member_;            // what the open member holds
  int64_t offset_ = 0;            // of the next member
  int64_t uncompressed_ = 0;
  Sha256 hash_;

  std::vector<std::string> toc_;
  std::vector<TocEntry> file_;    // the chunks of the current entry
  int64_t file_left_ = 0, chunk_left_ = 0, file_done_ = 0;
  Sha256 file_hash_, chunk_hash_;
  std::map<int64_t, std::string> unames_, gnames_;  // last given, by id
  std::map<std::string, std::string> notes_;
};

Status EstargzCompressor::Put(std::string_view bytes) {
  hash_.Update(bytes);
  uncompressed_ += static_cast<int64_t>(bytes.size());
  member_ += bytes;
  // Only within a chunk it matters where a member ends.
  bool full = static_cast<int64_t>(member_.size()) >= kChunkBytes && chunk_left_ == 0;
  return full ? CloseMember() : OkStatus();
}

Status EstargzCompressor::CloseMember() {
  if (member_.empty()) return OkStatus();
  std::string out(libdeflate_gzip_compress_bound(deflate_, member_.size()), '\0');
  out.resize(libdeflate_gzip_compress(deflate_, member_.data(), member_.size(), out.data(),
                                      out.size()));
  member_.clear();
  offset_ += static_cast<int64_t>(out.size());
  return out_(out);
}

Status EstargzCompressor::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (state_ == State::kHeader) {
      RETURN_IF_ERROR(TakeHeader(&bytes));
    } else if (state_ == State::kData) {
      RETURN_IF_ERROR(TakeData(&bytes));
    } else if (state_ == State::kPadding) {
      size_t count = std::min(bytes.size(), padding_);
      RETURN_IF_ERROR(Put(bytes.substr(0, count)));
      bytes.remove_prefix(count);
      padding_ -= count;
      if (padding_ == 0) state_ = State::kHeader;
    } else {
      return Put(bytes);
    }
  }
  return OkStatus();
}

// Collects blocks until an entry's header is there with all that belongs to it.
Status EstargzCompressor::TakeHeader(std::string_view* bytes) {
  size_t count = std::min(bytes->size(), header_end_ - header_.size());
  header_ += bytes->substr(0, count);
  bytes->remove_prefix(count);
  if (header_.size() < header_end_) return OkStatus();
  const char* block = header_.data() + header_.size() - kBlock;
  if (std::all_of(block, block + kBlock, [](char c) { return c == '\0'; })) {
    state_ = State::kEnd;
    return Put(std::exchange(header_, {}));
  }
  constexpr std::string_view kBelongsToNext = "xgLK";
  if (!Contains(kBelongsToNext, std::string_view(block + tar::kType, 1))) return StartEntry();
  ASSIGN_OR_RETURN(int64_t size, tar::NumberIn(block, tar::kSize));
  if (size < 0 || static_cast<uint64_t>(size) > tar::kMaxSpecial) return tar::InvalidHeader();
  header_end_ += static_cast<size_t>(size) + tar::PaddingOf(size) + kBlock;
  return OkStatus();
}

Status EstargzCompressor::StartEntry() {
  std::string blocks = std::exchange(header_, {});
  header_end_ = kBlock;
  TarReader reader(ReadFrom(blocks));
  ASSIGN_OR_RETURN(std::optional<TarHeader> header, reader.Next());
  if (!header) return tar::InvalidHeader();
  if (CleanPath(StrCat("/", header->name)) == StrCat("/", kTocName)) {
    return InvalidArgumentError(
        "existing TOC JSON is not allowed; decompress layer before append");
  }
  RETURN_IF_ERROR(Put(blocks));
  ASSIGN_OR_RETURN(TocEntry entry, EntryOf(*header));
  entry.uname = NameIfChanged(unames_, header->uid, header->uname);
  entry.gname = NameIfChanged(gnames_, header->gid, header->gname);
  file_ = {std::move(entry)};
  file_left_ = header->type == '0' ? header->size : 0;
  file_done_ = 0;
  padding_ = tar::PaddingOf(file_left_);
  if (header->type == '0') file_hash_ = Sha256();
  state_ = State::kData;
  return file_left_ > 0 ? BeginChunk() : EndFile();
}

Status EstargzCompressor::BeginChunk() {
  RETURN_IF_ERROR(CloseMember());
  if (file_done_ > 0) {
    TocEntry more;
    more.name = file_.front().name;
    more.type = "chunk";
    file_.push_back(std::move(more));
  }
  TocEntry& chunk = file_.back();
  chunk_left_ = std::min(file_left_, kChunkBytes);
  if (chunk_left_ == kChunkBytes) chunk.chunk_size = chunk_left_;
  chunk.offset = offset_;
  chunk.chunk_offset = file_done_;
  chunk_hash_ = Sha256();
  return OkStatus();
}

Status EstargzCompressor::TakeData(std::string_view* bytes) {
  auto count = std::min<int64_t>(static_cast<int64_t>(bytes->size()), chunk_left_);
  std::string_view data = bytes->substr(0, static_cast<size_t>(count));
  bytes->remove_prefix(data.size());
  file_hash_.Update(data);
  chunk_hash_.Update(data);
  chunk_left_ -= count;
  file_left_ -= count;
  file_done_ += count;
  RETURN_IF_ERROR(Put(data));
  if (chunk_left_ > 0) return OkStatus();
  file_.back().chunk_digest = chunk_hash_.Finish().text();
  return file_left_ > 0 ? BeginChunk() : EndFile();
}

Status EstargzCompressor::EndFile() {
  if (file_.front().type == "reg") file_.front().digest = file_hash_.Finish().text();
  for (const TocEntry& chunk : file_) toc_.push_back(chunk.Json());
  state_ = padding_ > 0 ? State::kPadding : State::kHeader;
  return OkStatus();
}

Status EstargzCompressor::Finish() {
  if (state_ != State::kEnd && (state_ != State::kHeader || !header_.empty())) {
    return DataLossError("unexpected EOF");
  }
  RETURN_IF_ERROR(CloseMember());
  std::string json = TocJson(toc_);
  int64_t toc_offset = offset_;
  TarWriter writer([this](std::string_view bytes) {
    hash_.Update(bytes);
    uncompressed_ += static_cast<int64_t>(bytes.size());
    member_ += bytes;
    return OkStatus();
  });
  TarHeader header;
  header.name = kTocName;
  header.size = static_cast<int64_t>(json.size());
  RETURN_IF_ERROR(writer.WriteHeader(header));
  RETURN_IF_ERROR(writer.Write(json));
  RETURN_IF_ERROR(writer.Close());
  RETURN_IF_ERROR(CloseMember());
  RETURN_IF_ERROR(out_(Footer(static_cast<uint64_t>(toc_offset))));
  notes_[std::string(kTocDigestNote)] = Digest::Of(json).text();
  notes_[std::string(kTocSizeNote)] = StrCat(uncompressed_);
  return OkStatus();
}

}  // namespace

std::unique_ptr<Compressor> NewEstargzCompressor(std::optional<int> level, WriteFn out) {
  return std::make_unique<EstargzCompressor>(level, std::move(out));
}

std::optional<uint64_t> EstargzTocOffset(std::string_view footer) {
  if (footer.size() != kEstargzFooterBytes) return std::nullopt;
  uint64_t offset = 0;
  std::string_view digits = footer.substr(16, 16);
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), offset, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  // Flags and times of the header are the writer's own business.
  std::string expected = Footer(offset);
  bool same = footer.substr(0, 4) == expected.substr(0, 4) &&
              footer.substr(10, 6) == expected.substr(10, 6) &&
              footer.substr(32, 6) == expected.substr(32, 6);
  return same ? std::optional(offset) : std::nullopt;
}

}  // namespace kiln::oci
