// What is special about a store whose snapshots somebody else keeps. No mounts are made.
#include <sys/stat.h>

#include <algorithm>

#include "cache/snapshot/remote_snapshots.h"
#include "cache/snapshot/snapshot_mounts.h"
#include "cache/testing/ref_store_suite.h"

namespace kiln::cache {
namespace {

class RemoteSnapshots : public testing::Test {
 protected:
  void SetUp() override { Open(true); }
  void Open(bool overlay) {
    store_.reset();
    remote_ = std::make_unique<FakeSnapshotter>(temp_.path() + "/keeper", overlay);
    ASSERT_TRUE(MakeDirs(temp_.path() + "/tmp").ok());
    auto store = OpenRemoteSnapshots(*remote_, temp_.path() + "/tmp");
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  // "name<parent" of each, "!" if it is committed, by name.
  std::string Kept() {
    std::vector<std::string> lines;
    const std::vector<Snapshotter::Info> kept = remote_->Walk().value();
    for (const Snapshotter::Info& info : kept) {
      lines.push_back(StrCat(info.name, "<", info.parent, info.committed ? "!" : ""));
    }
    std::sort(lines.begin(), lines.end());
    return StrJoin(lines, " ");
  }
  Status Make(const std::string& id, const std::vector<std::string>& parents) {
    RETURN_IF_ERROR(store_->Create(id, parents));
    return store_->Freeze(id);
  }
  std::string Folder(const std::string& text) {
    std::string dir = std::move(MakeTempDir(temp_.path() + "/tmp", "made-")).value();
    EXPECT_TRUE(WriteFileAtomic(dir + "/f", text).ok());
    return dir;
  }

  TempDir temp_{std::move(MakeTempDir("/tmp", "remote-")).value()};
  std::unique_ptr<FakeSnapshotter> remote_;
  std::unique_ptr<SnapshotStore> store_;
};

TEST_F(RemoteSnapshots, AChainIsKnownToItsKeeperAndAStackIsNot) {
  EXPECT_EQ(Kept(), "");  // nothing of the probe
  ASSERT_TRUE(Make("a", {}).ok());
  ASSERT_TRUE(Make("b", {"a"}).ok());
  ASSERT_TRUE(store_->Adopt("c", Folder("c"), std::vector<std::string>{"a", "b"}).ok());
  ASSERT_TRUE(store_->Create("of-a-merge", std::vector<std::string>{"b", "a"}).ok());
  ASSERT_TRUE(store_->Create("of-a-part", std::vector<std::string>{"b"}).ok());
  EXPECT_EQ(Kept(), "a<! b<a! c<b! of-a-merge-active< of-a-part-active<");
  EXPECT_EQ(ReadFile(store_->FsDir("c") + "/f").value_or("?"), "c");
}

TEST_F(RemoteSnapshots, WhatIsBuiltUponIsCommittedFirst) {
  ASSERT_TRUE(store_->Create("a", {}).ok());
  EXPECT_FALSE(store_->frozen("a"));
  ASSERT_TRUE(store_->Create("b", std::vector<std::string>{"a"}).ok());
  EXPECT_TRUE(store_->frozen("a"));
  EXPECT_EQ(Kept(), "a<! b-active<a");
}

TEST_F(RemoteSnapshots, AreFoundAgainWithTheirFolders) {
  ASSERT_TRUE(Make("a", {}).ok());
  ASSERT_TRUE(WriteFileAtomic(store_->FsDir("a") + "/f", "1").ok());
  ASSERT_TRUE(store_->Create("b", std::vector<std::string>{"a"}).ok());
  const std::string fs = store_->FsDir("b");
  // Nobody told where it is.
  ASSERT_TRUE(remote_->Prepare("c-active", "a").ok());
  ASSERT_TRUE(remote_->Commit("c", "c-active", {}).ok());
  Open(true);
  EXPECT_EQ(ReadFile(store_->FsDir("a") + "/f").value_or("?"), "1");
  EXPECT_EQ(store_->FsDir("b"), fs);
  EXPECT_TRUE(store_->Exists("c"));
  EXPECT_TRUE(store_->frozen("a"));
  EXPECT_FALSE(store_->frozen("b"));
  EXPECT_EQ(store_->List().value().back(), "a");  // after what lies on it
  EXPECT_EQ(Kept(), "a<! b-active<a c<a!");
}

TEST_F(RemoteSnapshots, WholeTreesAreMadeByTheirKeeper) {
  Open(false);
  EXPECT_FALSE(store_->layered());
  ASSERT_TRUE(Make("a", {}).ok());
  ASSERT_TRUE(WriteFileAtomic(store_->FsDir("a") + "/f", "1").ok());
  ASSERT_TRUE(Make("b", {"a"}).ok());
  EXPECT_EQ(ReadFile(store_->FsDir("b") + "/f").value_or("?"), "1");
  ASSERT_TRUE(store_->Adopt("c", Folder("c"), std::vector<std::string>{"b"}).ok());
  EXPECT_EQ(Kept(), "a<! b<a! c<!");
}

TEST_F(RemoteSnapshots, WhatCannotGoNowGoesLater) {
  ASSERT_TRUE(Make("a", {}).ok());
  ASSERT_TRUE(Make("b", {"a"}).ok());
  ASSERT_TRUE(store_->Remove("a").ok());  // too early, which is nobody's concern
  EXPECT_EQ(Kept(), "a<! b<a!");
  ASSERT_TRUE(store_->Remove("b").ok());
  ASSERT_TRUE(store_->Collect().ok());
  EXPECT_EQ(Kept(), "");

  ASSERT_TRUE(Make("c", {}).ok());
  remote_->SetAway(true);
  EXPECT_EQ(store_->Remove("c").code(), StatusCode::kUnavailable);
  EXPECT_EQ(store_->Create("d", {}).code(), StatusCode::kUnavailable);
  remote_->SetAway(false);
  ASSERT_TRUE(store_->Create("d", {}).ok());
  EXPECT_EQ(Kept(), "d-active<");
}

TEST_F(RemoteSnapshots, WhatNobodyHeardOfGoesWithTheNextCollection) {
  ASSERT_TRUE(Make("a", {}).ok());
  ASSERT_TRUE(Make("b", {"a"}).ok());
  ASSERT_TRUE(store_->Create("c", std::vector<std::string>{"a", "b"}).ok());
  // By calls of a process that is gone, which end after this one has begun.
  ASSERT_TRUE(remote_->Prepare("x-active", "").ok());
  ASSERT_TRUE(remote_->Commit("x", "x-active", {}).ok());
  ASSERT_TRUE(remote_->Prepare("y-active", "a").ok());
  ASSERT_TRUE(store_->Collect().ok());
  EXPECT_EQ(Kept(), "a<! b<a! c-active<b");
  // And what they lay on can go.
  ASSERT_TRUE(remote_->Prepare("z-active", "b").ok());
  for (const std::string id : {"c", "b", "a"}) ASSERT_TRUE(store_->Remove(id).ok());
  ASSERT_TRUE(store_->Collect().ok());
  EXPECT_EQ(Kept(), "");
}

TEST_F(RemoteSnapshots, WhatAnEarlierAttemptLeftIsInNobodysWay) {
  ASSERT_TRUE(remote_->Prepare("a-active", "").ok());
  ASSERT_TRUE(store_->Create("a", {}).ok());
  ASSERT_TRUE(remote_->Prepare("x", "").ok());
  ASSERT_TRUE(remote_->Commit("a", "x", {}).ok());
  ASSERT_TRUE(store_->Freeze("a").ok());
  EXPECT_EQ(Kept(), "a<!");
  // Committed, and nobody heard of it.
  ASSERT_TRUE(store_->Create("b", {}).ok());
  ASSERT_TRUE(remote_->Commit("b", "b-active", {}).ok());
  EXPECT_TRUE(store_->Freeze("b").ok());
  EXPECT_TRUE(store_->frozen("b"));
}

TEST(SnapshotMounts, FoldersAndKind) {
  const std::vector<Mount> overlay = {{"overlay", "overlay", {"index=off", "workdir=/s/3/work",
                                                              "upperdir=/s/3/fs",
                                                              "lowerdir=/s/2/fs:/s/1/fs"}}};
  EXPECT_EQ(FoldersOf(overlay).fs, "/s/3/fs");
  EXPECT_EQ(FoldersOf(overlay).work, "/s/3/work");
  EXPECT_EQ(KindOf(overlay), SnapshotKind::kOverlay);
  EXPECT_EQ(FoldersOf({{"overlay", "overlay", {"lowerdir=/a\\:b/fs:/s/1/fs"}}}).fs, "/a:b/fs");
  const std::vector<Mount> bind = {{"bind", "/s/1/fs", {"rbind", "rw"}}};
  EXPECT_EQ(FoldersOf(bind).fs, "/s/1/fs");
  EXPECT_EQ(FoldersOf(bind).work, "/s/1/work");
  EXPECT_EQ(KindOf(bind), SnapshotKind::kNative);
  const std::vector<Mount> device = {{"ext4", "/dev/mapper/snap", {"discard"}}};
  EXPECT_EQ(FoldersOf(device).fs, "");
  EXPECT_EQ(KindOf(device), SnapshotKind::kNative);
  EXPECT_EQ(KindOf({{"fuse3.fuse-overlayfs", "overlay", {"upperdir=/u", "lowerdir=/l"}}}),
            SnapshotKind::kFuseOverlay);
}

}  // namespace
}  // namespace kiln::cache
