// Content digests against the golden set, which was measured from the reference:
// each tree once scanned from disk and once received as a stream of changes.
#include "cache/contenthash/content_hash.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cache/content/disk_content_store.h"
#include "cache/contenthash/hash_tree.h"
#include "cache/database.h"
#include "cache/ref_store.h"

namespace kiln::cache {
namespace {

using Json = nlohmann::json;

struct Entry {
  std::string path;
  std::string type;
  std::string content;
  FileStat stat;
};

uint32_t TypeBits(const std::string& type) {
  if (type == "dir") return S_IFDIR;
  if (type == "symlink") return S_IFLNK;
  if (type == "fifo") return S_IFIFO;
  if (type == "chardev") return S_IFCHR;
  if (type == "blockdev") return S_IFBLK;
  return S_IFREG;
}

Entry ReadEntry(const Json& json) {
  Entry entry;
  entry.path = json.value("path", "");
  entry.type = json.value("type", "file");
  std::string once = json.value("content", "");
  for (int i = 0; i < std::max(1, json.value("repeat", 1)); ++i) entry.content += once;
  std::string mode = json.value("mode", entry.type == "dir" ? "0755" : "0644");
  uint32_t bits = static_cast<uint32_t>(std::stoul(mode, nullptr, 8));
  if (entry.type == "symlink") bits = 0777;
  entry.stat.mode = GoMode(bits | TypeBits(entry.type));
  entry.stat.uid = json.value("uid", 0U);
  entry.stat.gid = json.value("gid", 0U);
  entry.stat.linkname = json.value("link", "");
  entry.stat.devmajor = json.value("major", int64_t{0});
  entry.stat.devminor = json.value("minor", int64_t{0});
  if (entry.type == "file") entry.stat.size = static_cast<int64_t>(entry.content.size());
  if (json.contains("xattrs")) {
    entry.stat.xattrs = json["xattrs"].get<std::map<std::string, std::string>>();
  }
  return entry;
}

struct GoldenTree {
  Entry root;
  std::vector<Entry> entries;
};

const std::map<std::string, GoldenTree>& GoldenTrees() {
  static const auto* trees = [] {
    auto* all = new std::map<std::string, GoldenTree>;
    Json golden =
        Json::parse(ReadFile(KILN_SOURCE_DIR "/tests/golden/llb/contenthash.json").value());
    for (const Json& tree : golden["trees"]) {
      GoldenTree& out = (*all)[tree["name"]];
      out.root = ReadEntry(tree["root"]);
      if (!tree["entries"].is_array()) continue;
      for (const Json& entry : tree["entries"]) out.entries.push_back(ReadEntry(entry));
    }
    return all;
  }();
  return *trees;
}

// False if this user may not make such a tree.
bool MakeOnDisk(const std::string& root, const Entry& entry) {
  std::string path = entry.path == "/" ? root : root + "/" + entry.path;
  mode_t mode = PosixMode(entry.stat.mode);
  bool made = true;
  if (entry.type == "dir") {
    made = entry.path == "/" || ::mkdir(path.c_str(), 0755) == 0;
  } else if (entry.type == "symlink") {
    made = ::symlink(entry.stat.linkname.c_str(), path.c_str()) == 0;
  } else if (entry.type == "hardlink") {
    return ::link((root + "/" + entry.stat.linkname).c_str(), path.c_str()) == 0;
  } else if (entry.type == "file") {
    made = WriteFileAtomic(path, entry.content).ok();
  } else {
    made = ::mknod(path.c_str(), mode,
                   makedev(static_cast<unsigned>(entry.stat.devmajor),
                           static_cast<unsigned>(entry.stat.devminor))) == 0;
  }
  bool owned = entry.stat.uid == ::getuid() && entry.stat.gid == ::getgid();
  made = made && (owned || ::lchown(path.c_str(), entry.stat.uid, entry.stat.gid) == 0);
  if (entry.type != "symlink") made = made && ::chmod(path.c_str(), mode & 07777) == 0;
  for (const auto& [key, value] : entry.stat.xattrs) {
    made = made && ::lsetxattr(path.c_str(), key.c_str(), value.data(), value.size(), 0) == 0;
  }
  return made;
}

// The stream that a client would send: path order, parents first, the second name
// of a hard link as a link to the first.
std::unique_ptr<HashTree> Receive(const GoldenTree& golden) {
  auto tree = std::make_unique<HashTree>();
  std::vector<Entry> entries = golden.entries;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return HashKeyOf(a.path) < HashKeyOf(b.path);
  });
  std::map<std::string, std::string> first_name;  // by the name that the set gives as the first
  auto original = [&](const Entry& entry) {
    return entry.type == "hardlink" ? entry.stat.linkname : entry.path;
  };
  for (Entry& entry : entries) {
    const std::string name = original(entry);
    for (const Entry& other : golden.entries) {
      if (other.path != name || entry.type != "hardlink") continue;
      std::string path = entry.path;
      entry = other;
      entry.path = path;
    }
    auto [it, is_first] = first_name.try_emplace(name, entry.path);
    if (!is_first && entry.type == "file") {
      FileStat link = entry.stat;
      link.linkname = it->second;
      FileHash hash(link);
      EXPECT_TRUE(tree->OnChange(ChangeKind::kAdd, entry.path, link, hash.Finish()).ok());
      continue;
    }
    FileHash hash(entry.stat);
    if (entry.type == "file") hash.Update(entry.content);
    EXPECT_TRUE(tree->OnChange(ChangeKind::kAdd, entry.path, entry.stat, hash.Finish()).ok());
  }
  return tree;
}

ChecksumOptions OptionsOf(const Json& json) {
  ChecksumOptions options;
  options.follow_links = json.value("followLinks", false);
  options.wildcard = json.value("wildcard", false);
  auto list = [&](const char* name) {
    return json.contains(name) ? json[name].get<std::vector<std::string>>()
                               : std::vector<std::string>();
  };
  options.include = list("include");
  options.exclude = list("exclude");
  options.required = list("required");
  return options;
}

void Compare(const Json& json, const std::string& side, const StatusOr<Digest>& got) {
  SCOPED_TRACE(StrCat(side, " ", json.dump()));
  std::string error = json.value(side + "Error", "");
  if (!error.empty()) {
    EXPECT_EQ(got.status().message(), error);
  } else {
    EXPECT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got.value_or(Digest()).text(), json.value(side, ""));
  }
}

Json GoldenCases() {
  return Json::parse(
      ReadFile(KILN_SOURCE_DIR "/tests/golden/llb/contenthash.json").value())["cases"];
}

StatusOr<const RootedTree*> NoFiles() { return InternalError("a received tree reads no files"); }

// A stream without entries says nothing: the tree is then scanned like any other.
StatusOr<const RootedTree*> EmptyTree() {
  static TempDir folder(std::move(MakeTempDir("/tmp", "hash-")).value());
  static bool plain = ::chmod(folder.path().c_str(), 0755) == 0;
  static RootedTree tree = std::move(RootedTree::Open(folder.path())).value();
  return plain ? StatusOr<const RootedTree*>(&tree) : InternalError("chmod");
}

HashTree::Tree FilesOf(const std::string& tree) {
  return GoldenTrees().at(tree).entries.empty() ? EmptyTree : NoFiles;
}

TEST(ContentHashGolden, ReceivedTreesHaveTheReferencesDigests) {
  for (const Json& one : GoldenCases()) {
    std::unique_ptr<HashTree> tree = Receive(GoldenTrees().at(one["tree"]));
    StatusOr<Digest> got = tree->Checksum(FilesOf(one["tree"]), one["path"].get<std::string>(),
                                          OptionsOf(one));
    Compare(one, "received", got);
  }
}

TEST(ContentHashGolden, ScannedTreesHaveTheReferencesDigests) {
  TempDir temp(std::move(MakeTempDir("/tmp", "hash-")).value());
  std::map<std::string, bool> usable;
  for (const auto& [name, tree] : GoldenTrees()) {
    std::string root = temp.path() + "/" + name;
    bool made = ::mkdir(root.c_str(), 0755) == 0;
    for (const Entry& entry : tree.entries) made = made && MakeOnDisk(root, entry);
    usable[name] = made && MakeOnDisk(root, tree.root);
    // Owners and devices need privileges; nothing else may keep a tree from being made.
    EXPECT_TRUE(usable[name] || ::getuid() != 0) << name;
  }
  const Json golden = GoldenCases();
  std::vector<Json> cases(golden.begin(), golden.end());
  std::map<std::string, HashTree> forward, backward;
  auto compare = [&](const Json& one, HashTree& tree) {
    std::string name = one["tree"];
    if (!usable[name]) return;
    RootedTree files = std::move(RootedTree::Open(temp.path() + "/" + name)).value();
    auto opened = [&]() -> StatusOr<const RootedTree*> { return &files; };
    Compare(one, "scanned", tree.Checksum(opened, one["path"].get<std::string>(), OptionsOf(one)));
  };
  for (const Json& one : cases) {
    HashTree fresh;
    compare(one, fresh);
    compare(one, forward[one["tree"]]);  // what was asked before must not matter
  }
  std::reverse(cases.begin(), cases.end());
  for (const Json& one : cases) compare(one, backward[one["tree"]]);
}

TEST(HashTree, SavedTreesAnswerWithoutFiles) {
  for (const Json& one : GoldenCases()) {
    if (one.contains("receivedError")) continue;
    std::unique_ptr<HashTree> tree = Receive(GoldenTrees().at(one["tree"]));
    std::string saved = tree->Save();
    HashTree loaded;
    ASSERT_TRUE(loaded.Load(saved).ok());
    StatusOr<Digest> got = loaded.Checksum(FilesOf(one["tree"]), one["path"].get<std::string>(),
                                           OptionsOf(one));
    Compare(one, "received", got);
  }
}

TEST(HashTree, DamagedBytesAreRefused) {
  std::string saved = Receive(GoldenTrees().at("project"))->Save();
  HashTree tree;
  EXPECT_FALSE(tree.Load("").ok());
  for (size_t size = 1; size < saved.size(); size += 7) {
    tree.Load(saved.substr(0, size)).IgnoreError();
  }
  EXPECT_FALSE(tree.Load(saved.substr(0, saved.size() - 1)).ok());
  EXPECT_TRUE(tree.Load(saved).ok());
}

TEST(HashTree, ChangesVoidTheDigestsAboveThem) {
  auto file = [](HashTree& tree, const std::string& path, const std::string& text) {
    FileStat stat;
    stat.mode = 0644;
    stat.size = static_cast<int64_t>(text.size());
    FileHash hash(stat);
    hash.Update(text);
    EXPECT_TRUE(tree.OnChange(ChangeKind::kAdd, path, stat, hash.Finish()).ok());
  };
  auto folder = [](HashTree& tree, const std::string& path) {
    FileStat stat;
    stat.mode = GoMode(S_IFDIR | 0755);
    EXPECT_TRUE(tree.OnChange(ChangeKind::kAdd, path, stat, FileHash(stat).Finish()).ok());
  };
  HashTree grown;
  folder(grown, "d");
  file(grown, "d/a", "1");
  folder(grown, "d/gone");
  file(grown, "d/gone/x", "x");
  ASSERT_TRUE(grown.Checksum(NoFiles, "/d", {}).ok());
  file(grown, "d/a", "2");
  ASSERT_TRUE(grown.OnChange(ChangeKind::kDelete, "d/gone", {}, {}).ok());
  HashTree fresh;
  folder(fresh, "d");
  file(fresh, "d/a", "2");
  EXPECT_EQ(grown.Checksum(NoFiles, "/d", {}).value(), fresh.Checksum(NoFiles, "/d", {}).value());
  EXPECT_TRUE(IsNotFound(grown.Checksum(NoFiles, "/d/gone/x", {}).status()));
}

TEST(ContentHash, DigestsAreKeptWithTheRecord) {
  TempDir temp(std::move(MakeTempDir("/tmp", "hash-")).value());
  auto database = std::move(Database::Open(temp.path() + "/index.db")).value();
  auto content = std::move(OpenContentStore(temp.path() + "/content")).value();
  RefStoreOptions options;
  options.root = temp.path();
  options.snapshotter = "native";
  options.content = content.get();
  options.database = database.get();
  auto store = std::move(RefStore::Open(options)).value();
  MutableRef tree = std::move(store->NewMutable(Ref(), {})).value();
  std::string files = tree.Mount(false).value().mounts[0].source;
  ASSERT_TRUE(WriteFileAtomic(files + "/f", "content").ok());
  Ref ref = std::move(tree.Commit()).value();
  Digest digest = Checksum(ref, "/f", {}).value();
  EXPECT_TRUE(ref.GetMetadata("contenthash").ok());
  EXPECT_TRUE(IsNotFound(Checksum(ref, "/g", {}).status()));
  ASSERT_TRUE(RemoveAll(files + "/f").ok());  // what is kept is not looked at again
  EXPECT_EQ(Checksum(ref, "/f", {}).value(), digest);
  EXPECT_EQ(Checksum(Ref(), "/", {}).value(), Digest::Of(""));
  EXPECT_EQ(Checksum(Ref(), "/f", {}).status().message(), "/f: no such file or directory");
}

TEST(ContentHash, AReceivedTreeIsKnownToItsFrozenView) {
  TempDir temp(std::move(MakeTempDir("/tmp", "hash-")).value());
  auto database = std::move(Database::Open(temp.path() + "/index.db")).value();
  auto content = std::move(OpenContentStore(temp.path() + "/content")).value();
  RefStoreOptions options;
  options.root = temp.path();
  options.snapshotter = "native";
  options.content = content.get();
  options.database = database.get();
  auto store = std::move(RefStore::Open(options)).value();
  RecordOptions keep;
  keep.retain = true;
  MutableRef tree = std::move(store->NewMutable(Ref(), keep)).value();
  FileStat stat;
  stat.mode = 0644;
  ContentHashBuilder builder(tree);
  ASSERT_TRUE(builder.OnChange(ChangeKind::kAdd, "f", stat, Digest::Of("made up")).ok());
  ASSERT_TRUE(builder.Save(tree).ok());
  Ref ref = std::move(tree.Commit()).value();
  EXPECT_EQ(Checksum(ref, "/f", {}).value(), Digest::Of("made up"));
}

}  // namespace
}  // namespace kiln::cache
