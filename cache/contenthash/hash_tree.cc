// Changes, digests and storage of a HashTree. Scans are in hash_scan.cc, patterns
// in hash_select.cc.
#include "cache/contenthash/hash_tree.h"

#include <algorithm>
#include <cstdlib>

#include "base/file.h"

namespace kiln::cache {
namespace {

constexpr std::string_view kMagic = "kiln-hashes-2\n";
constexpr std::string_view kMagic1 = "kiln-hashes-1\n";  // without modes and owners
constexpr int kMaxLinks = 255;

// "/a/b", "" for the root.
std::string KeyPath(std::string_view path) {
  std::string clean = CleanPath(StrCat("/", path));
  return clean == "/" ? "" : clean;
}

std::string ParentOf(const std::string& path) {
  std::string dir = DirName(path);
  return dir == "/" || dir == "." ? "" : dir;
}

}  // namespace

std::string HashKeyOf(std::string_view path) {
  std::string key(path);
  std::replace(key.begin(), key.end(), '/', '\0');
  return key;
}

std::string HashPathOf(std::string_view key) {
  std::string path(key);
  std::replace(path.begin(), path.end(), '\0', '/');
  return path;
}

void HashTree::Touch(std::string path) { touched_.insert(std::move(path)); }

void HashTree::RemoveBelow(const std::string& key) {
  std::string prefix = key + '\0';
  auto it = records_.lower_bound(prefix);
  while (it != records_.end() && it->first.starts_with(prefix)) it = records_.erase(it);
}

Status HashTree::OnChange(ChangeKind kind, std::string_view raw_path, const FileStat& stat,
                          const Digest& digest) {
  std::string path = KeyPath(raw_path);
  std::string key = HashKeyOf(path);
  dirty_ = true;
  if (records_.find(std::string_view("\0", 1)) == records_.end()) {
    // A stream has no entry for the root.
    records_[std::string(1, '\0')] = {HashRecord::Type::kDirHeader, Digest::Of(""), {}};
    records_[""] = {HashRecord::Type::kDir, {}, {}};
  }
  Touch(ParentOf(path));
  auto old = records_.find(key);
  if (kind == ChangeKind::kDelete) {
    if (old != records_.end()) {
      if (old->second.type == HashRecord::Type::kDir) RemoveBelow(key);
      records_.erase(key);
    }
    return OkStatus();
  }
  if (old != records_.end() && old->second.type == HashRecord::Type::kDir && !stat.is_dir()) {
    RemoveBelow(key);
  }
  HashRecord record{HashRecord::Type::kFile, digest, {}, stat.mode, stat.uid, stat.gid};
  if (stat.is_dir()) {
    records_[key] = {HashRecord::Type::kDir, {}, {}};
    key += '\0';
    record.type = HashRecord::Type::kDirHeader;
    Touch(path);
  } else if (stat.is_symlink()) {
    record.type = HashRecord::Type::kSymlink;
    record.linkname = stat.linkname;
  } else if (!stat.linkname.empty()) {
    std::string first = CleanPath(StrCat("/", stat.linkname));
    auto known = records_.find(HashKeyOf(first));
    if (known != records_.end()) record = known->second;
    waiting_links_[first].push_back(key);
  }
  records_[key] = record;
  if (stat.is_dir()) return OkStatus();
  if (auto waiting = waiting_links_.find(path); waiting != waiting_links_.end()) {
    for (const std::string& link : waiting->second) {
      records_[link] = record;
      Touch(ParentOf(HashPathOf(link)));
    }
    waiting_links_.erase(waiting);
  }
  return OkStatus();
}

// The digests of all folders above a change are void.
void HashTree::Settle() {
  std::set<std::string> all;
  for (std::string path : touched_) {
    while (all.insert(path).second && !path.empty()) path = ParentOf(path);
  }
  touched_.clear();
  waiting_links_.clear();
  for (const std::string& path : all) {
    auto it = records_.find(HashKeyOf(path));
    if (it != records_.end()) it->second = {HashRecord::Type::kDir, {}, {}};
  }
}

// Looks `key` up with links in its folders followed, and in its last name if asked
// for. `visit` sees every path on the way, also those that are missing.
StatusOr<HashTree::Found> HashTree::Follow(const std::string& key, bool follow_last,
                                           const Visit& visit) const {
  auto direct = records_.find(key);
  if (direct != records_.end() &&
      (!follow_last || direct->second.type != HashRecord::Type::kSymlink)) {
    return Found{key, &direct->second};
  }
  if (key.empty()) return Found{key, nullptr};
  std::string current = "/";
  std::string rest = HashPathOf(key);
  bool slash = rest.ends_with('/');
  if (slash) rest.pop_back();
  int links = 0;
  const HashRecord* record = nullptr;
  while (!rest.empty()) {
    size_t end = rest.find('/');
    std::string part = rest.substr(0, end);
    rest = end == std::string::npos ? "" : rest.substr(end + 1);
    std::string next = KeyPath(StrCat(current, "/", part));
    auto it = records_.find(HashKeyOf(next));
    record = it == records_.end() ? nullptr : &it->second;
    if (visit) visit(next, record);
    bool link = record != nullptr && record->type == HashRecord::Type::kSymlink;
    if (!link || (!follow_last && rest.empty())) {
      current = next;
      if (link) break;
      continue;
    }
    if (++links > kMaxLinks) return UnknownError("too many links");
    rest = StrCat(record->linkname, "/", rest);
    if (record->linkname.starts_with('/')) current = "/";
  }
  if (slash) {
    current += "/";
    auto it = records_.find(HashKeyOf(current));
    record = it == records_.end() ? nullptr : &it->second;
    if (visit) visit(current, record);
  }
  return Found{HashKeyOf(current), record};
}

StatusOr<Digest> HashTree::DigestOfDir(const Tree& tree, const std::string& key) {
  Sha256 hash;
  std::string header = key + '\0';
  std::string at = header;
  auto it = records_.lower_bound(header + '\0');
  for (bool more = true; more && at.starts_with(header);) {
    hash.Update(std::string_view(at).substr(key.size()));
    auto found = records_.find(at);
    bool dir = found != records_.end() && found->second.type == HashRecord::Type::kDir;
    ASSIGN_OR_RETURN(Digest digest, DigestOf(tree, at, false));
    hash.Update(digest.text());
    if (dir) it = records_.lower_bound(at + std::string("\0\xff", 2));
    more = it != records_.end();
    if (more) at = (it++)->first;
  }
  return hash.Finish();
}

StatusOr<Digest> HashTree::DigestOf(const Tree& tree, const std::string& key, bool follow_last) {
  ASSIGN_OR_RETURN(Found found, Follow(key, follow_last));
  if (found.record == nullptr) {
    return NotFoundError(StrCat(Quote(HashPathOf(key)), ": not found"));
  }
  if (!found.record->digest.empty()) return found.record->digest;
  Digest digest;
  if (found.record->type == HashRecord::Type::kDir) {
    ASSIGN_OR_RETURN(digest, DigestOfDir(tree, found.key));
  } else {
    ASSIGN_OR_RETURN(const RootedTree* files, tree());
    std::string path = HashPathOf(TrimSuffix(found.key, std::string_view("\0", 1)));
    FileStat seen;
    ASSIGN_OR_RETURN(digest, HashFile(*files, path, &seen));
    HashRecord& record = records_[found.key];
    record.mode = seen.mode;
    record.uid = seen.uid;
    record.gid = seen.gid;
  }
  HashRecord& record = records_[found.key];
  record.digest = digest;
  // Those of folders are soon made again: not worth writing a large tree out.
  dirty_ = dirty_ || record.type != HashRecord::Type::kDir;
  return digest;
}

StatusOr<Digest> HashTree::LazyChecksum(const Tree& tree, std::string_view raw_path,
                                        bool follow_last) {
  std::string path = KeyPath(raw_path);
  std::string key = HashKeyOf(path);
  ASSIGN_OR_RETURN(Found found, Follow(key, follow_last));
  if (found.record != nullptr && !found.record->digest.empty()) return found.record->digest;
  ASSIGN_OR_RETURN(bool scan, NeedsScan(path, follow_last));
  if (scan) RETURN_IF_ERROR(ScanPath(tree, path, follow_last));
  return DigestOf(tree, key, follow_last);
}

std::vector<FileMark> HashTree::List(std::string_view raw_path, const ChecksumOptions& options) {
  std::vector<FileMark> files;
  auto add = [&](const std::string& key, const HashRecord& record) {
    if (record.type == HashRecord::Type::kDir || record.digest.empty()) return;
    std::string path = HashPathOf(TrimSuffix(key, std::string_view("\0", 1)));
    std::string head(record.digest.hex().substr(0, 16));
    files.push_back({path.empty() ? "/" : std::move(path), record.mode, record.uid, record.gid,
                     std::strtoull(head.c_str(), nullptr, 16)});
  };
  auto no_tree = []() -> StatusOr<const RootedTree*> { return NotFoundError("not mounted"); };
  if (options.wildcard || !options.include.empty() || !options.exclude.empty()) {
    for (const std::string& key : SelectedKeys(no_tree, raw_path, options)) {
      add(key, records_[key]);
    }
  } else if (auto found = Follow(HashKeyOf(KeyPath(raw_path)), options.follow_links);
             found.ok() && found->record != nullptr) {
    add(found->key, *found->record);
    if (found->record->type == HashRecord::Type::kDir) {
      std::string prefix = found->key + '\0';
      for (auto it = records_.lower_bound(prefix);
           it != records_.end() && it->first.starts_with(prefix); ++it) {
        add(it->first, it->second);
      }
    }
  }
  std::sort(files.begin(), files.end(),
            [](const FileMark& a, const FileMark& b) { return a.path < b.path; });
  return files;
}

std::string HashTree::Save() {
  Settle();
  std::string out(kMagic);
  auto number = [&](size_t value) {
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>((value >> shift) & 0xff);
  };
  std::string_view last;
  for (const auto& [key, record] : records_) {
    auto [same, other] = std::mismatch(last.begin(), last.end(), key.begin(), key.end());
    auto shared = static_cast<size_t>(same - last.begin());
    number(shared);
    number(key.size() - shared);
    out += key.substr(shared);
    out += static_cast<char>(record.type);
    out += record.digest.empty() ? '\0' : '\1';
    if (!record.digest.empty()) out += HexDecode(record.digest.hex()).value_or(std::string(32, 0));
    number(record.linkname.size());
    out += record.linkname;
    for (uint32_t value : {record.mode, record.uid, record.gid}) number(value);
    last = key;
  }
  dirty_ = false;
  return out;
}

Status HashTree::Load(std::string_view bytes) {
  records_.clear();
  dirty_ = false;
  bool marks = bytes.starts_with(kMagic);
  bool good = marks || bytes.starts_with(kMagic1);
  bytes.remove_prefix(std::min(bytes.size(), kMagic.size()));
  auto take = [&](size_t count) {
    good = good && count <= bytes.size();
    std::string_view part = bytes.substr(0, good ? count : 0);
    bytes.remove_prefix(part.size());
    return part;
  };
  auto number = [&] {
    std::string_view raw = take(4);
    size_t value = 0;
    for (size_t i = raw.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(raw[i]);
    return value;
  };
  std::string key;
  while (good && !bytes.empty()) {
    size_t shared = number();
    good = good && shared <= key.size();
    if (!good) break;
    key.resize(shared);
    key += take(number());
    std::string_view flags = take(2);
    if (!good || static_cast<uint8_t>(flags[0]) > 3) break;
    HashRecord record;
    record.type = static_cast<HashRecord::Type>(flags[0]);
    if (flags[1] != 0) record.digest = Digest::Trusted("sha256:" + HexEncode(take(32)));
    record.linkname = take(number());
    for (uint32_t* value : {&record.mode, &record.uid, &record.gid}) {
      if (marks) *value = static_cast<uint32_t>(number());
    }
    if (good) records_.emplace_hint(records_.end(), key, std::move(record));
  }
  if (good && bytes.empty()) return OkStatus();
  records_.clear();
  return DataLossError("kept content digests are damaged");
}

}  // namespace kiln::cache
