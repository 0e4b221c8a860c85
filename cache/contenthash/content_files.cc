#include "cache/contenthash/content_files.h"

#include <algorithm>

namespace kiln::cache {
namespace {

constexpr char kVersion = '\1';

void PutNumber(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

bool TakeNumber(std::string_view* bytes, int count, uint64_t* value) {
  if (bytes->size() < static_cast<size_t>(count)) return false;
  *value = 0;
  for (int i = count; i-- > 0;) {
    *value = *value << 8 | static_cast<uint8_t>((*bytes)[static_cast<size_t>(i)]);
  }
  bytes->remove_prefix(static_cast<size_t>(count));
  return true;
}

std::optional<FileChange::Kind> Compare(const FileMark& a, const FileMark& b) {
  if (a.digest == b.digest) return std::nullopt;
  if (a.mode != 0 && b.mode != 0 && a.mode != b.mode) return FileChange::Kind::kMode;
  if (a.mode != 0 && b.mode != 0 && (a.uid != b.uid || a.gid != b.gid)) {
    return FileChange::Kind::kOwner;
  }
  return FileChange::Kind::kContent;
}

}  // namespace

std::string EncodeFiles(const std::vector<FileMark>& files) {
  std::string out(1, kVersion);
  std::string_view last;
  for (const FileMark& file : files) {
    std::string_view path = file.path;
    auto [same, other] = std::mismatch(last.begin(), last.end(), path.begin(), path.end());
    auto shared = std::min<size_t>(static_cast<size_t>(same - last.begin()), 0xffff);
    PutNumber(shared, 2, &out);
    PutNumber(path.size() - shared, 2, &out);
    out += path.substr(shared);
    PutNumber(file.mode, 4, &out);
    PutNumber(file.uid, 4, &out);
    PutNumber(file.gid, 4, &out);
    PutNumber(file.digest, 8, &out);
    last = path;
  }
  return out;
}

StatusOr<std::vector<FileMark>> DecodeFiles(std::string_view bytes) {
  const Status damaged = DataLossError("list of files is damaged");
  if (bytes.empty() || bytes[0] != kVersion) return damaged;
  bytes.remove_prefix(1);
  std::vector<FileMark> files;
  std::string path;
  while (!bytes.empty()) {
    uint64_t shared = 0, rest = 0, mode = 0, uid = 0, gid = 0;
    FileMark file;
    if (!TakeNumber(&bytes, 2, &shared) || !TakeNumber(&bytes, 2, &rest) ||
        shared > path.size() || rest > bytes.size()) {
      return damaged;
    }
    path.resize(shared);
    path += bytes.substr(0, rest);
    bytes.remove_prefix(rest);
    if (!TakeNumber(&bytes, 4, &mode) || !TakeNumber(&bytes, 4, &uid) ||
        !TakeNumber(&bytes, 4, &gid) || !TakeNumber(&bytes, 8, &file.digest)) {
      return damaged;
    }
    file.path = path;
    file.mode = static_cast<uint32_t>(mode);
    file.uid = static_cast<uint32_t>(uid);
    file.gid = static_cast<uint32_t>(gid);
    files.push_back(std::move(file));
  }
  return files;
}

std::optional<FileChange> FirstChange(const std::vector<FileMark>& before,
                                      const std::vector<FileMark>& after) {
  std::optional<FileChange> first;
  auto note = [&](const std::string& path, FileChange::Kind kind) {
    if (first) {
      ++first->others;
    } else {
      first = FileChange{path, kind, 0};
    }
  };
  auto a = before.begin();
  auto b = after.begin();
  while (a != before.end() || b != after.end()) {
    if (b == after.end() || (a != before.end() && a->path < b->path)) {
      note((a++)->path, FileChange::Kind::kRemoved);
    } else if (a == before.end() || b->path < a->path) {
      note((b++)->path, FileChange::Kind::kAdded);
    } else {
      if (auto kind = Compare(*a, *b)) note(a->path, *kind);
      ++a;
      ++b;
    }
  }
  return first;
}

std::string_view FileChangeText(FileChange::Kind kind) {
  switch (kind) {
    case FileChange::Kind::kAdded: return "added";
    case FileChange::Kind::kRemoved: return "removed";
    case FileChange::Kind::kContent: return "content";
    case FileChange::Kind::kMode: return "mode";
    case FileChange::Kind::kOwner: return "owner";
  }
  return "";
}

}  // namespace kiln::cache
