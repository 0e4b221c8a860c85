// Entries are applied in their order, as an unpacker would. See estargz_tree.h.
#include "oci/estargz_tree.h"

#include <algorithm>
#include <map>

#include "base/digest.h"
#include "base/file.h"
#include "base/strings.h"
#include "base/time.h"
#include "oci/estargz_toc.h"

namespace kiln::oci {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr size_t kMaxPath = 4096;
constexpr size_t kMaxName = 255;
constexpr size_t kMaxXattr = 64 << 10;

Status Wrong(const EstargzEntry& entry, std::string_view what) {
  return InvalidArgumentError(StrCat("eStargz entry ", Quote(entry.name), ": ", what));
}
Status Unfit(const EstargzEntry& entry, std::string_view what) {
  return UnimplementedError(StrCat("eStargz entry ", Quote(entry.name), ": ", what));
}

bool InRange(int64_t value, uint64_t limit) {
  return value >= 0 && static_cast<uint64_t>(value) <= limit;
}

// For readers the archive's own signs at the root are no files.
bool IsLandmark(std::string_view path) {
  return path == "/.prefetch.landmark" || path == "/.no.prefetch.landmark";
}

}  // namespace

// Used once, by one thread.
class EstargzTreeBuilder {
 public:
  explicit EstargzTreeBuilder(uint64_t toc_offset) : toc_offset_(toc_offset) { AddNode({}); }
  Status Add(const EstargzEntry& entry);
  StatusOr<EstargzTree> Finish();

 private:
  using Kind = EstargzNode::Kind;

  uint32_t AddNode(EstargzNode node) {
    tree_.nodes_.push_back(std::move(node));
    children_.emplace_back();
    return static_cast<uint32_t>(tree_.nodes_.size() - 1);
  }
  EstargzNode& node(uint32_t index) { return tree_.nodes_[index]; }
  StatusOr<uint32_t> Folder(const EstargzEntry& entry, std::string_view path);
  Status Whiteout(const EstargzEntry& entry, uint32_t folder, const std::string& name);
  Status Link(const EstargzEntry& entry, uint32_t folder, const std::string& name);
  StatusOr<EstargzNode> NodeOf(const EstargzEntry& entry);
  Status AddChunk(const EstargzEntry& entry);
  Status EndFile();
  void Put(uint32_t folder, const std::string& name, EstargzNode fresh);
  void Name(uint32_t folder, const std::string& name, uint32_t index);

  const uint64_t toc_offset_;
  EstargzTree tree_;
  std::vector<std::map<std::string, uint32_t, std::less<>>> children_;
  std::vector<uint64_t> offsets_;  // of each chunk's stream
  // The file whose chunks come.
  std::string file_name_;
  uint32_t file_ = 0;
  uint64_t file_size_ = 0, file_done_ = 0;
};

// The folder at a clean path, made where it is missing.
StatusOr<uint32_t> EstargzTreeBuilder::Folder(const EstargzEntry& entry, std::string_view path) {
  uint32_t at = 0;
  for (std::string_view part : StrSplit(path, '/')) {
    if (part.empty()) continue;
    auto found = children_[at].find(part);
    if (found == children_[at].end()) {
      if (part.size() > kMaxName || tree_.nodes_.size() >= EstargzTree::kMaxNodes) {
        return Wrong(entry, "file name too long, or too many of them");
      }
      EstargzNode implied;
      implied.implied = true;
      const uint32_t made = AddNode(std::move(implied));
      children_[at].emplace(part, made);
      at = made;
      continue;
    }
    at = found->second;
    if (node(at).kind != Kind::kFolder) return Unfit(entry, "a folder of its path is none");
  }
  return at;
}

void EstargzTreeBuilder::Name(uint32_t folder, const std::string& name, uint32_t index) {
  auto [it, fresh] = children_[folder].try_emplace(name, index);
  if (fresh) return;
  --node(it->second).links;  // what had no other name is out of reach from here on
  it->second = index;
}

void EstargzTreeBuilder::Put(uint32_t folder, const std::string& name, EstargzNode fresh) {
  auto found = children_[folder].find(name);
  if (found != children_[folder].end() && fresh.kind == Kind::kFolder) {
    EstargzNode& there = node(found->second);
    if (there.kind == Kind::kFolder) {
      fresh.opaque = there.opaque;
      there = std::move(fresh);
      return;
    }
    // Deleted and made again in one layer: nothing of the old folder shows through.
    fresh.opaque = there.kind == Kind::kCharDevice && there.dev_major == 0 && there.dev_minor == 0;
  }
  Name(folder, name, AddNode(std::move(fresh)));
}

Status EstargzTreeBuilder::Whiteout(const EstargzEntry& entry, uint32_t folder,
                                    const std::string& name) {
  tree_.has_whiteouts_ = true;
  if (name == kOpaque) {
    node(folder).opaque = true;
    return OkStatus();
  }
  const std::string hidden = name.substr(kWhiteout.size());
  if (hidden.empty() || hidden == "." || hidden == "..") {
    return Wrong(entry, "invalid whiteout name");
  }
  // Whiteouts hide lower layers only: what this layer brought stays, over nothing.
  if (auto found = children_[folder].find(hidden); found != children_[folder].end()) {
    EstargzNode& there = node(found->second);
    if (there.kind == Kind::kFolder) there.opaque = true;
    return OkStatus();
  }
  EstargzNode mark;
  mark.kind = Kind::kCharDevice;
  mark.mode = 0;
  mark.uid = static_cast<uint32_t>(entry.uid);
  mark.gid = static_cast<uint32_t>(entry.gid);
  Name(folder, hidden, AddNode(std::move(mark)));
  return OkStatus();
}

// Only to what came before it, so that there are no circles.
Status EstargzTreeBuilder::Link(const EstargzEntry& entry, uint32_t folder,
                                const std::string& name) {
  uint32_t at = 0;
  const std::string target = CleanPath(StrCat("/", entry.link_name));
  for (std::string_view part : StrSplit(target, '/')) {
    if (part.empty()) continue;
    auto found = children_[at].find(part);
    if (found == children_[at].end()) return Unfit(entry, "a link to what the layer lacks");
    at = found->second;
  }
  if (node(at).kind == Kind::kFolder) return Wrong(entry, "a hard link to a folder");
  auto here = children_[folder].find(name);
  if (here != children_[folder].end() && here->second == at) return OkStatus();
  ++node(at).links;
  Name(folder, name, at);
  return OkStatus();
}

StatusOr<EstargzNode> EstargzTreeBuilder::NodeOf(const EstargzEntry& entry) {
  static constexpr std::pair<std::string_view, Kind> kKinds[] = {
      {"dir", Kind::kFolder},       {"reg", Kind::kFile},          {"symlink", Kind::kSymlink},
      {"char", Kind::kCharDevice},  {"block", Kind::kBlockDevice}, {"fifo", Kind::kFifo}};
  const auto* kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [&](const auto& known) { return known.first == entry.type; });
  if (kind == std::end(kKinds)) return Wrong(entry, StrCat("unknown type ", Quote(entry.type)));
  EstargzNode made;
  made.kind = kind->second;
  made.mode = static_cast<uint32_t>(entry.mode & 07777);
  made.uid = static_cast<uint32_t>(entry.uid);
  made.gid = static_cast<uint32_t>(entry.gid);
  // The reference sets times before 1970 to it.
  if (StatusOr<Time> time = ParseRfc3339(entry.modtime); time.ok() && time->nanos >= 0) {
    made.mtime = time->nanos / 1'000'000'000;
    made.mtime_nanos = static_cast<uint32_t>(time->nanos % 1'000'000'000);
  }
  if (made.kind == Kind::kSymlink) {
    if (entry.link_name.empty() || entry.link_name.size() >= kMaxPath ||
        Contains(entry.link_name, std::string_view("\0", 1))) {
      return Wrong(entry, "no target of a link");
    }
    made.target = entry.link_name;
    made.mode = 0777;
  }
  if (made.kind == Kind::kCharDevice || made.kind == Kind::kBlockDevice) {
    if (!InRange(entry.dev_major, 0xfff) || !InRange(entry.dev_minor, 0xfffff)) {
      return Wrong(entry, "no device number");
    }
    made.dev_major = static_cast<uint32_t>(entry.dev_major);
    made.dev_minor = static_cast<uint32_t>(entry.dev_minor);
  }
  for (const auto& [name, value] : entry.xattrs) {
    if (name.empty() || name.size() > kMaxName || value.size() > kMaxXattr ||
        Contains(name, std::string_view("\0", 1))) {
      return Wrong(entry, "no extended attribute");
    }
    // Marks of an overlay in an archive would mean something here that they do not there.
    if (name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.")) {
      return Unfit(entry, "an overlay's mark");
    }
    made.xattrs.emplace_back(name, value);
  }
  return made;
}

Status EstargzTreeBuilder::AddChunk(const EstargzEntry& entry) {
  if (!InRange(entry.offset, toc_offset_) || static_cast<uint64_t>(entry.offset) == toc_offset_ ||
      !InRange(entry.inner_offset, EstargzTree::kMaxStreamBytes) ||
      !InRange(entry.chunk_size, INT64_MAX)) {
    return Wrong(entry, "a chunk is not in the layer");
  }
  if (entry.chunk_offset < 0 || static_cast<uint64_t>(entry.chunk_offset) != file_done_) {
    return Wrong(entry, "chunks are out of order");
  }
  EstargzChunk chunk;
  chunk.file_offset = file_done_;
  chunk.size = entry.chunk_size > 0 ? static_cast<uint64_t>(entry.chunk_size)
                                    : file_size_ - file_done_;
  if (chunk.size == 0 || chunk.size > file_size_ - file_done_) {
    return Wrong(entry, "a chunk is larger than its file");
  }
  if (chunk.size > EstargzTree::kMaxChunkBytes) return Unfit(entry, "a chunk is too large");
  chunk.inner = static_cast<uint64_t>(entry.inner_offset);
  constexpr std::string_view kAlgorithm = "sha256:";
  if (!entry.chunk_digest.starts_with(kAlgorithm)) {
    return Unfit(entry, "a chunk has no digest, or none of sha256");
  }
  StatusOr<std::string> raw =
      HexDecode(std::string_view(entry.chunk_digest).substr(kAlgorithm.size()));
  if (!raw.ok() || raw->size() != chunk.sha256.size()) return Wrong(entry, "invalid digest");
  std::copy(raw->begin(), raw->end(), chunk.sha256.begin());
  file_done_ += chunk.size;
  offsets_.push_back(static_cast<uint64_t>(entry.offset));
  tree_.chunks_.push_back(chunk);
  return OkStatus();
}

// All chunks of the last file are there.
Status EstargzTreeBuilder::EndFile() {
  if (file_done_ == file_size_) return OkStatus();
  return InvalidArgumentError(
      StrCat("eStargz entry ", Quote(file_name_), ": chunks are missing"));
}

Status EstargzTreeBuilder::Add(const EstargzEntry& entry) {
  if (entry.type == "chunk") {
    if (file_size_ == 0 || entry.name != file_name_) return Wrong(entry, "a chunk of no file");
    RETURN_IF_ERROR(AddChunk(entry));
    ++node(file_).chunk_count;
    return OkStatus();
  }
  RETURN_IF_ERROR(EndFile());
  file_name_ = entry.name;
  file_size_ = file_done_ = 0;
  if (tree_.nodes_.size() >= EstargzTree::kMaxNodes) return Wrong(entry, "too many entries");
  if (entry.name.size() >= kMaxPath || Contains(entry.name, std::string_view("\0", 1)) ||
      !InRange(entry.uid, UINT32_MAX - 1) || !InRange(entry.gid, UINT32_MAX - 1) ||
      entry.size < 0) {
    return Wrong(entry, "invalid name, owner or size");
  }
  const std::string path = CleanPath(StrCat("/", entry.name));
  if (path == "/" || IsLandmark(path)) return OkStatus();
  const std::string name = BaseName(path);
  if (name.size() > kMaxName) return Wrong(entry, "file name too long");
  ASSIGN_OR_RETURN(const uint32_t folder, Folder(entry, DirName(path)));
  if (name.starts_with(kWhiteout)) return Whiteout(entry, folder, name);
  if (entry.type == "hardlink") return Link(entry, folder, name);
  ASSIGN_OR_RETURN(EstargzNode made, NodeOf(entry));
  if (made.kind == Kind::kFile && entry.size > 0) {
    file_size_ = made.size = static_cast<uint64_t>(entry.size);
    made.first_chunk = static_cast<uint32_t>(tree_.chunks_.size());
    made.chunk_count = 1;
    RETURN_IF_ERROR(AddChunk(entry));
  }
  Put(folder, name, std::move(made));
  file_ = static_cast<uint32_t>(tree_.nodes_.size() - 1);  // if it is one
  return OkStatus();
}

StatusOr<EstargzTree> EstargzTreeBuilder::Finish() {
  RETURN_IF_ERROR(EndFile());
  std::vector<uint32_t>& order = tree_.stream_chunks_;
  order.resize(tree_.chunks_.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
    return std::pair(offsets_[a], tree_.chunks_[a].inner) <
           std::pair(offsets_[b], tree_.chunks_[b].inner);
  });
  for (uint32_t i = 0; i < order.size(); ++i) {
    const uint64_t offset = offsets_[order[i]];
    if (tree_.streams_.empty() || tree_.streams_.back().offset != offset) {
      if (!tree_.streams_.empty()) tree_.streams_.back().end = offset;
      tree_.streams_.push_back({.offset = offset, .end = toc_offset_, .first = i, .count = 0});
    }
    EstargzStream& stream = tree_.streams_.back();
    EstargzChunk& chunk = tree_.chunks_[order[i]];
    if (stream.count++ > 0) {
      const EstargzChunk& before = tree_.chunks_[order[i - 1]];
      if (chunk.inner < before.inner + before.size) {
        return InvalidArgumentError("eStargz: chunks lie on one another");
      }
    }
    chunk.stream = static_cast<uint32_t>(tree_.streams_.size() - 1);
  }
  for (const EstargzStream& stream : tree_.streams_) {
    if (stream.end - stream.offset > EstargzTree::kMaxStreamBytes) {
      return UnimplementedError("eStargz: a part of the layer is too large to be read alone");
    }
  }
  for (uint32_t i = 0; i < tree_.nodes_.size(); ++i) {
    EstargzNode& one = tree_.nodes_[i];
    one.children.assign(children_[i].begin(), children_[i].end());
    children_[i].clear();
    tree_.has_implied_folders_ = tree_.has_implied_folders_ || one.implied;
  }
  return std::move(tree_);
}

StatusOr<EstargzTree> EstargzTree::Parse(std::string_view toc_json, uint64_t toc_offset) {
  EstargzTreeBuilder builder(toc_offset);
  RETURN_IF_ERROR(ParseEstargzToc(
      toc_json, [&](const EstargzEntry& entry) { return builder.Add(entry); }));
  return builder.Finish();
}

uint32_t EstargzTree::Find(uint32_t folder, std::string_view name) const {
  const auto& children = nodes_[folder].children;
  auto found = std::lower_bound(
      children.begin(), children.end(), name,
      [](const auto& child, std::string_view wanted) { return child.first < wanted; });
  return found != children.end() && found->first == name ? found->second : 0;
}

}  // namespace kiln::oci
