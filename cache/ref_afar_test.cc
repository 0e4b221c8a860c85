// Layers used from afar, mounted for real. Needs root and /dev/fuse.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "cache/afar/testing/packed_layer.h"
#include "cache/content/blob_place.h"
#include "cache/content/disk_content_store.h"
#include "cache/database.h"
#include "cache/mount.h"
#include "cache/ref_store.h"

namespace kiln::cache {
namespace {

using testing::Noise;
using testing::PackedEntries;
using testing::PackedLayer;
using testing::TarEntry;

// The registry of one layer.
class OneLayer : public BlobSource, public BlobPlace, public RangedBlobs {
 public:
  explicit OneLayer(std::shared_ptr<PackedLayer> layer) : layer_(std::move(layer)) {}
  StatusOr<std::unique_ptr<BlobReader>> Open(const oci::Descriptor& blob) override {
    struct Whole : BlobReader {
      uint64_t size() const override { return bytes.size(); }
      StatusOr<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const override {
        return bytes.copy(reinterpret_cast<char*>(buffer.data()), buffer.size(), offset);
      }
      std::string bytes;
    };
    ++opened;
    auto whole = std::make_unique<Whole>();
    ASSIGN_OR_RETURN(whole->bytes,
                     layer_->ReadRange(blob, 0, static_cast<uint64_t>(blob.size), {}));
    return std::unique_ptr<BlobReader>(std::move(whole));
  }
  std::string RepositoryOf(const oci::Descriptor&) override { return "registry.example/image"; }
  std::shared_ptr<BlobRanges> Ranges() override { return layer_; }
  int opened = 0;

 private:
  std::shared_ptr<PackedLayer> layer_;
};

class AfarRefs : public ::testing::Test {
 protected:
  void SetUp() override {
    UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
    if (!device.valid()) GTEST_SKIP() << "no /dev/fuse";
    Open();
  }
  void Open() {
    database_ = std::move(Database::Open(temp_.path() + "/index.db")).value();
    content_ = std::move(OpenContentStore(temp_.path() + "/content")).value();
    RefStoreOptions options;
    options.root = temp_.path();
    options.snapshotter = "stargz";
    options.content = content_.get();
    options.database = database_.get();
    options.late_blobs = [this](const std::string& repository) {
      late_ = repository;
      return source_;
    };
    store_ = std::move(RefStore::Open(options)).value();
  }
  void Close() {
    store_.reset();
    content_.reset();
    database_.reset();
  }
  void Offer(const PackedEntries& entries) {
    layer_ = std::make_shared<PackedLayer>(entries);
    source_ = std::make_shared<OneLayer>(layer_);
  }
  Ref Pull(const Ref& parent = Ref()) {
    Layer layer;
    layer.blob = layer_->blob;
    layer.diff_id = DiffId{Digest::Of("not looked at")};
    return store_->GetByBlob(layer, parent, {}, source_).value();
  }
  // A step over `base` that reads a file; what it read.
  Ref Step(const Ref& base, const std::string& file, std::string* read) {
    MutableRef tree = store_->NewMutable(base, {}).value();
    LocalMount mount = LocalMount::Open(tree.Mount(false).value(), store_->temp_dir()).value();
    *read = ReadFile(mount.path() + "/" + file).value_or("(none)");
    EXPECT_TRUE(WriteFileAtomic(mount.path() + "/made", *read).ok());
    { LocalMount gone = std::move(mount); }
    return tree.Commit().value();
  }
  int64_t SizeOf(const Ref& ref) { return ref.Size().value_or(-1); }
  int MountsHere() {
    int count = 0;
    const std::string table = ReadFile("/proc/self/mountinfo").value();
    for (std::string_view line : StrSplit(table, '\n')) {
      if (Contains(line, temp_.path())) ++count;
    }
    return count;
  }

  TempDir temp_{MakeTempDir(::testing::TempDir(), "afar-refs-").value()};
  std::shared_ptr<PackedLayer> layer_;
  std::shared_ptr<OneLayer> source_;
  std::string late_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<ContentStore> content_;
  std::unique_ptr<RefStore> store_;
};

TEST_F(AfarRefs, AStepFetchesWhatItReads) {
  Offer({{TarEntry('0', "small"), "few"}, {TarEntry('0', "large"), Noise(5 << 20)}});
  Ref base = Pull();
  std::string read;
  Ref top = Step(base, "small", &read);
  EXPECT_EQ(read, "few");
  EXPECT_EQ(source_->opened, 0);
  EXPECT_LT(layer_->read, 200u << 10);
  EXPECT_LT(SizeOf(base), 200 << 10);
  EXPECT_FALSE(base.lazy());
  // Its blob is still to be had.
  Remote remote = top.GetRemote(true, {}).value();
  ASSERT_EQ(remote.layers.size(), 2u);
  EXPECT_EQ(remote.layers[0].blob.digest, layer_->blob.digest);
  EXPECT_TRUE(remote.source->Open(remote.layers[0].blob).ok());
  EXPECT_EQ(source_->opened, 1);
}

TEST_F(AfarRefs, ShowsWhatAnUnpackedLayerWouldShow) {
  oci::TarHeader tool = TarEntry('0', "bin/tool");
  tool.mode = 04755;
  tool.uid = 7;
  tool.pax["SCHILY.xattr.user.note"] = "text";
  oci::TarHeader device = TarEntry('3', "null");
  device.dev_major = 1;
  device.dev_minor = 3;
  Offer({{TarEntry('5', "bin"), ""}, {tool, "bytes"}, {TarEntry('1', "again", "bin/tool"), ""},
         {TarEntry('2', "sh", "bin/tool"), ""}, {device, ""}, {TarEntry('0', "empty"), ""}});
  LocalMount mount =
      LocalMount::Open(Pull().Mount(true).value(), store_->temp_dir()).value();
  struct stat st{}, other{};
  ASSERT_EQ(::stat((mount.path() + "/bin/tool").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode, S_IFREG | 04755u);
  EXPECT_EQ(st.st_uid, 7u);
  EXPECT_EQ(st.st_nlink, 2u);
  EXPECT_EQ(st.st_mtime, 1700000000);
  ASSERT_EQ(::stat((mount.path() + "/again").c_str(), &other), 0);
  EXPECT_EQ(st.st_ino, other.st_ino);
  char note[8] = {};
  EXPECT_EQ(::getxattr((mount.path() + "/bin/tool").c_str(), "user.note", note, sizeof note), 4);
  EXPECT_EQ(ReadFile(mount.path() + "/sh").value_or(""), "bytes");
  EXPECT_EQ(ReadFile(mount.path() + "/empty").value_or("?"), "");
  ASSERT_EQ(::lstat((mount.path() + "/null").c_str(), &st), 0);
  EXPECT_EQ(st.st_rdev, other.st_rdev + ::makedev(1, 3));
  EXPECT_EQ(ReadFile(mount.path() + "/null").value_or("?"), "");  // a device works
  EXPECT_EQ(StrJoin(*ListDir(mount.path()), " "), "again bin empty null sh");
  EXPECT_FALSE(WriteFileAtomic(mount.path() + "/new", "x").ok());
}

TEST_F(AfarRefs, ALayerHidesWhatIsBelowIt) {
  Offer({{TarEntry('0', "gone"), "1"}, {TarEntry('5', "dir"), ""}, {TarEntry('0', "dir/old"), "2"},
         {TarEntry('0', "stays"), "3"}});
  Ref low = Pull();
  std::shared_ptr<OneLayer> below = source_;
  Offer({{TarEntry('0', ".wh.gone"), ""}, {TarEntry('5', "dir"), ""},
         {TarEntry('0', "dir/.wh..wh..opq"), ""}, {TarEntry('0', "dir/new"), "4"}});
  Ref high = Pull(low);
  LocalMount mount = LocalMount::Open(high.Mount(true).value(), store_->temp_dir()).value();
  EXPECT_EQ(StrJoin(*ListDir(mount.path()), " "), "dir stays");
  EXPECT_EQ(StrJoin(*ListDir(mount.path() + "/dir"), " "), "new");
  EXPECT_EQ(below->opened + source_->opened, 0);
}

TEST_F(AfarRefs, WorksAgainAfterARestart) {
  Offer({{TarEntry('0', "small"), "few"}, {TarEntry('0', "large"), Noise(5 << 20)}});
  std::string id, read;
  {
    Ref base = Pull();
    id = Step(base, "small", &read).id();
  }
  EXPECT_EQ(MountsHere(), 1);
  Close();
  EXPECT_EQ(MountsHere(), 0);
  Open();
  // Nobody has named the image since.
  {
    Ref again = store_->Get(id).value();
    EXPECT_EQ(late_, "registry.example/image");
    LocalMount mount = LocalMount::Open(again.Mount(true).value(), store_->temp_dir()).value();
    EXPECT_EQ(ReadFile(mount.path() + "/small").value_or(""), "few");
    EXPECT_EQ(ReadFile(mount.path() + "/made").value_or(""), "few");
    EXPECT_EQ(source_->opened, 0);
  }
  // Nor can it be had where there is no such place.
  source_.reset();
  Close();
  Open();
  EXPECT_TRUE(IsNotFound(store_->Get(id).status()));
}

TEST_F(AfarRefs, PruneUnmounts) {
  Offer({{TarEntry('0', "small"), "few"}});
  {
    Ref base = Pull();
    ASSERT_TRUE(base.Extract().ok());
    EXPECT_EQ(MountsHere(), 1);
    ASSERT_TRUE(store_->Prune({.all = true}, {}).ok());
    EXPECT_EQ(MountsHere(), 1);
  }
  ASSERT_TRUE(store_->Prune({.all = true}, {}).ok());
  EXPECT_EQ(MountsHere(), 0);
  EXPECT_TRUE(store_->Usage({})->empty());
}

TEST_F(AfarRefs, ASourceThatDiesFailsTheReaderOnly) {
  Offer({{TarEntry('0', "file"), "few"}, {TarEntry('0', "large"), Noise(5 << 20)}});
  Ref base = Pull();
  LocalMount mount = LocalMount::Open(base.Mount(true).value(), store_->temp_dir()).value();
  EXPECT_EQ(ReadFile(mount.path() + "/file").value_or(""), "few");
  layer_->Fail(UnavailableError("connection refused"));
  StatusOr<std::string> large = ReadFile(mount.path() + "/large");
  EXPECT_TRUE(Contains(large.status().message(), "input/output error")) << large.status();
  EXPECT_EQ(ReadFile(mount.path() + "/file").value_or(""), "few");
}

TEST_F(AfarRefs, OtherLayersAreUnpacked) {
  Offer({{TarEntry('0', "dir/file"), "1"}, {TarEntry('0', ".wh.nothing"), ""}});
  Ref base = Pull();
  // A lowest layer cannot hide anything, so this one is not used as it is. What it is
  // unpacked to is another archive than the test says.
  EXPECT_TRUE(Contains(base.Extract().message(), "wrong diff id"));
  EXPECT_EQ(source_->opened, 1);
  EXPECT_EQ(MountsHere(), 0);
}

}  // namespace
}  // namespace kiln::cache
