#include "cache/testing/ref_store_suite.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/rooted.h"

namespace kiln::cache {

std::unique_ptr<FakeSnapshotter> RefStoreSuite::ChooseSnapshots(const std::string& root,
                                                                RefStoreOptions* options) {
  std::string_view name = GetParam();
  const bool remote = name.starts_with("remote-");
  name = TrimPrefix(name, "remote-");
  options->snapshotter = name;
  if (!remote) return nullptr;
  auto made = std::make_unique<FakeSnapshotter>(root + "/snapshots", name == "overlayfs");
  options->remote_snapshots = made.get();
  return made;
}

void RefStoreSuite::Open(const std::string& boot_id) {
  database_ = std::move(Database::Open(root() + "/index.db")).value();
  content_ = std::move(OpenContentStore(root() + "/content")).value();
  RefStoreOptions options;
  options.root = root();
  options.boot_id = boot_id;
  remote_ = ChooseSnapshots(root(), &options);
  options.content = content_.get();
  options.database = database_.get();
  StatusOr<std::unique_ptr<RefStore>> store = RefStore::Open(options);
  ASSERT_TRUE(store.ok()) << store.status();
  store_ = *std::move(store);
}

void RefStoreSuite::Close() {
  store_.reset();
  remote_.reset();
  content_.reset();
  database_.reset();
}

void RefStoreSuite::Edit(const std::string& root, const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    if (file.ends_with('!')) {
      ASSERT_TRUE(RemoveAll(root + "/" + file.substr(0, file.size() - 1)).ok());
    } else if (file.ends_with('/')) {
      ASSERT_TRUE(MakeDirs(root + "/" + file.substr(0, file.size() - 1)).ok());
    } else {
      size_t equals = file.find('=');
      std::string path = root + "/" + file.substr(0, equals);
      ASSERT_TRUE(MakeDirs(DirName(path)).ok());
      ASSERT_TRUE(WriteFileAtomic(path, file.substr(equals + 1)).ok());
    }
  }
}

Ref RefStoreSuite::Make(const Ref& parent, const std::vector<std::string>& files) {
  StatusOr<MutableRef> tree = store_->NewMutable(parent, {});
  EXPECT_TRUE(tree.ok()) << tree.status();
  {
    StatusOr<LocalMount> mount =
        LocalMount::Open(std::move(tree->Mount(false)).value(), store_->temp_dir());
    EXPECT_TRUE(mount.ok()) << mount.status();
    Edit(mount->path(), files);
  }
  StatusOr<Ref> ref = tree->Commit();
  EXPECT_TRUE(ref.ok()) << ref.status();
  return *std::move(ref);
}

std::string RefStoreSuite::DescribeDir(const std::string& root) {
  std::string out;
  UniqueFd fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto visit = [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    out += entry.path;
    if (S_ISDIR(entry.st->st_mode)) out += "/";
    if (S_ISREG(entry.st->st_mode)) {
      out += "=" + ReadFile(root + "/" + entry.path).value_or("?");
    }
    out += " ";
    return WalkStep::kContinue;
  };
  EXPECT_TRUE(WalkTree(fd.get(), visit).ok());
  return out;
}

std::string RefStoreSuite::Describe(const Ref& ref) {
  StatusOr<MountLease> lease = ref.Mount(true);
  EXPECT_TRUE(lease.ok()) << lease.status();
  if (!lease.ok()) return "";
  StatusOr<LocalMount> mount = LocalMount::Open(*std::move(lease), store_->temp_dir());
  EXPECT_TRUE(mount.ok()) << mount.status();
  return mount.ok() ? DescribeDir(mount->path()) : "";
}

using Ids = std::vector<std::string>;

TEST_P(RefStoreSuite, ACommittedTreeIsThereAfterReopening) {
  std::string id;
  {
    Ref base = Make(Ref(), {"a=1", "d/b=2"});
    Ref top = Make(base, {"a!", "d/c=3"});
    EXPECT_EQ(Describe(base), "a=1 d/ d/b=2 ");
    EXPECT_EQ(Describe(top), "d/ d/b=2 d/c=3 ");
    id = top.id();
  }
  Close();
  Open();
  StatusOr<Ref> again = store_->Get(id);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(Describe(*again), "d/ d/b=2 d/c=3 ");
  EXPECT_EQ(again->LayerChain().size(), 2U);
}

TEST_P(RefStoreSuite, AMutableThatIsDroppedLeavesNothing) {
  { MutableRef tree = std::move(store_->NewMutable(Ref(), {})).value(); }
  EXPECT_TRUE(store_->Usage({}).value().empty());
  EXPECT_EQ(Snapshots(), 0U);
}

TEST_P(RefStoreSuite, ARetainedMutableCanBeFoundAndTakenByOneAtATime) {
  RecordOptions options;
  options.retain = true;
  options.type = RecordType::kCacheMount;
  options.metadata["cache-dir"] = "x";
  std::string id;
  {
    MutableRef tree = std::move(store_->NewMutable(Ref(), options)).value();
    id = tree.id();
    Edit(tree.Mount(false).value().mounts[0].source, {"kept=1"});
    EXPECT_EQ(store_->GetMutable(id).status().code(), StatusCode::kUnavailable);
  }
  Close();
  Open();
  EXPECT_EQ(store_->Find("cache-dir", "x").value(), Ids{id});
  EXPECT_TRUE(store_->Find("cache-dir", "y").value().empty());
  StatusOr<MutableRef> again = store_->GetMutable(id);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(DescribeDir(again->Mount(false).value().mounts[0].source), "kept=1 ");
}

TEST_P(RefStoreSuite, AFrozenViewLocksItsMutableUntilReleasedAndThenGoes) {
  RecordOptions options;
  options.retain = true;
  Ids removed;
  store_->OnRemove([&](std::string_view id, std::string_view) { removed.emplace_back(id); });
  MutableRef tree = std::move(store_->NewMutable(Ref(), options)).value();
  std::string id = tree.id();
  ASSERT_TRUE(tree.SetMetadata("hash", "h").ok());
  Edit(tree.Mount(false).value().mounts[0].source, {"f=1"});
  Ref view = std::move(tree.Commit()).value();
  std::string view_id = view.id();
  EXPECT_NE(view_id, id);
  EXPECT_EQ(view.GetMetadata("hash").value_or("?"), "h");
  EXPECT_EQ(store_->GetMutable(id).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(store_->Usage({}).value().size(), 1U);
  view = Ref();
  EXPECT_EQ(store_->Usage({}).value().size(), 1U);
  ASSERT_TRUE(store_->Get(view_id).ok());
  EXPECT_TRUE(store_->GetMutable(id).ok());
  EXPECT_EQ(removed, Ids{view_id});
  EXPECT_TRUE(IsNotFound(store_->Get(view_id).status()));
}

TEST_P(RefStoreSuite, ATreeThatSomethingIsBuiltOnIsNeverWrittenAgain) {
  RecordOptions options;
  options.retain = true;
  MutableRef tree = std::move(store_->NewMutable(Ref(), options)).value();
  std::string id = tree.id();
  ASSERT_TRUE(tree.SetMetadata("hash", "h").ok());
  Ref view = std::move(tree.Commit()).value();
  Ref child = Make(view, {"x=1"});
  EXPECT_TRUE(IsNotFound(store_->GetMutable(id).status()));
  EXPECT_EQ(view.GetMetadata("hash").value_or("?"), "h");
}

TEST_P(RefStoreSuite, LayersGoOutAndComeBackAsTheSameTree) {
  Remote remote;
  Ref base = Make(Ref(), {"a=1", "d/b=2", "e/f=3"});
  Ref top = Make(base, {"a!", "d/c=3", "e!", "e/g=4"});
  EXPECT_TRUE(IsNotFound(top.GetRemote(false, {}).status()));
  StatusOr<Remote> made = top.GetRemote(true, {});
  ASSERT_TRUE(made.ok()) << made.status();
  ASSERT_EQ(made->layers.size(), 2U);
  EXPECT_EQ(made->layers[1].blob.media_type, oci::kOciLayerGzip);
  StatusOr<Remote> again = top.GetRemote(false, {});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->layers[1].blob.digest, made->layers[1].blob.digest);

  RefStoreOptions other;
  other.root = root() + "/other";
  std::unique_ptr<FakeSnapshotter> remote_snapshots = ChooseSnapshots(other.root, &other);
  auto database = std::move(Database::Open(other.root + "/index.db")).value();
  auto content = std::move(OpenContentStore(other.root + "/content")).value();
  other.database = database.get();
  other.content = content.get();
  auto store = std::move(RefStore::Open(other)).value();
  Ref low = std::move(store->GetByBlob(made->layers[0], Ref(), {}, made->source)).value();
  Ref high = std::move(store->GetByBlob(made->layers[1], low, {}, made->source)).value();
  EXPECT_TRUE(high.lazy());
  EXPECT_TRUE(content->List().value().empty());
  EXPECT_EQ(Describe(high), Describe(top));
  EXPECT_EQ(Describe(top), "d/ d/b=2 d/c=3 e/ e/g=4 ");
  EXPECT_FALSE(high.lazy());
  Ref same = std::move(store->GetByBlob(made->layers[1], low, {}, nullptr)).value();
  EXPECT_EQ(same.id(), high.id());
  EXPECT_EQ(high.GetRemote(true, {}).value().layers[1].blob.digest, made->layers[1].blob.digest);
}

TEST_P(RefStoreSuite, ForcedCompressionConvertsAndDockerTypesAreNames) {
  Ref base = Make(Ref(), {"a=1"});
  oci::Descriptor gzip = base.GetRemote(true, {}).value().layers[0].blob;
  CompressionOptions zstd;
  zstd.type = oci::Compression::kZstd;
  EXPECT_EQ(base.GetRemote(true, zstd).value().layers[0].blob.digest, gzip.digest);
  zstd.force = true;
  Layer converted = base.GetRemote(true, zstd).value().layers[0];
  EXPECT_EQ(converted.blob.media_type, oci::kOciLayerZstd);
  EXPECT_NE(converted.blob.digest, gzip.digest);
  CompressionOptions docker;
  docker.oci_types = false;
  EXPECT_EQ(base.GetRemote(true, docker).value().layers[0].blob.media_type, oci::kDockerLayerGzip);
}

TEST_P(RefStoreSuite, ALazyLayerWithoutItsSourceIsNotFound) {
  class NoBlobs : public BlobSource {
   public:
    StatusOr<std::unique_ptr<BlobReader>> Open(const oci::Descriptor&) override {
      return UnavailableError("offline");
    }
  };
  Layer layer;
  layer.blob.media_type = std::string(oci::kOciLayerGzip);
  layer.blob.digest = Digest::Of("somewhere");
  layer.blob.size = 9;
  std::string id;
  {
    Ref ref =
        std::move(store_->GetByBlob(layer, Ref(), {}, std::make_shared<NoBlobs>())).value();
    id = ref.id();
    EXPECT_TRUE(store_->Get(id).ok());
    EXPECT_EQ(ref.Mount(true).status().code(), StatusCode::kUnavailable);
    EXPECT_EQ(ref.GetRemote(true, {}).value().layers[0].blob.digest, layer.blob.digest);
  }
  EXPECT_TRUE(IsNotFound(store_->Get(id).status()));
}

TEST_P(RefStoreSuite, MergeStacksTreesAndDeletionsApply) {
  Ref base = Make(Ref(), {"shared/a=1", "shared/b=2"});
  Ref left = Make(base, {"shared/left=l", "new/left=l"});
  Ref right = Make(base, {"shared/a!", "new/right=r"});
  Ref left_only = std::move(store_->Diff(base, left, {})).value();
  Ref right_only = std::move(store_->Diff(base, right, {})).value();
  EXPECT_EQ(Describe(left_only), "new/ new/left=l shared/ shared/left=l ");
  Ref merged = std::move(store_->Merge({&base, &left_only, &right_only}, {})).value();
  EXPECT_EQ(Describe(merged), "new/ new/left=l new/right=r shared/ shared/b=2 shared/left=l ");
  StatusOr<Remote> remote = merged.GetRemote(true, {});
  ASSERT_TRUE(remote.ok()) << remote.status();
  EXPECT_EQ(remote->layers.size(), 3U);
  EXPECT_EQ(remote->layers[1].blob.digest, left.GetRemote(false, {}).value().layers[1].blob.digest);
  Ref both = std::move(store_->Merge({&left, &right}, {})).value();
  EXPECT_EQ(Describe(both), "new/ new/left=l new/right=r shared/ shared/b=2 shared/left=l ");
  Ref on_top = Make(both, {"z=1"});
  EXPECT_EQ(Describe(on_top),
            "new/ new/left=l new/right=r shared/ shared/b=2 shared/left=l z=1 ");
}

TEST_P(RefStoreSuite, DiffOfUnrelatedTreesIsComputed) {
  Ref one = Make(Ref(), {"a=1", "b=2", "d/x=1"});
  Ref two = Make(Ref(), {"a=1", "c=3", "d/y=2"});
  Ref diff = std::move(store_->Diff(one, two, {})).value();
  EXPECT_EQ(diff.LayerChain().size(), 1U);
  StatusOr<Remote> remote = diff.GetRemote(true, {});
  ASSERT_TRUE(remote.ok()) << remote.status();
  Ref merged = std::move(store_->Merge({&one, &diff}, {})).value();
  EXPECT_EQ(Describe(merged), Describe(two));
  EXPECT_TRUE(store_->Diff(one, one, {}).value().empty());
  EXPECT_EQ(store_->Diff(Ref(), one, {}).value().id(), one.id());
}

TEST_P(RefStoreSuite, UsageTellsWhatIsInUseAndFilters) {
  Ref base = Make(Ref(), {"a=1"});
  base.SetDescription("the base");
  std::string base_id = base.id();
  std::string top_id;
  {
    Ref top = Make(base, {"b=1"});
    top_id = top.id();
    base = Ref();
    const std::vector<UsageRecord> records = store_->Usage({}).value();
    for (const UsageRecord& record : records) EXPECT_TRUE(record.in_use);
    EXPECT_TRUE(store_->Prune({}, {}).ok());
    EXPECT_EQ(store_->Usage({}).value().size(), 2U);
  }
  std::vector<UsageRecord> all = store_->Usage({}).value();
  for (const UsageRecord& record : all) {
    EXPECT_FALSE(record.in_use);
    EXPECT_GT(record.size, 0);
    EXPECT_EQ(record.parents, record.id == top_id ? Ids{base_id} : Ids{});
  }
  EXPECT_EQ(store_->Usage({"description~=^the"}).value().at(0).id, base_id);
  // What nothing stands on yet counts as open, as in the reference.
  EXPECT_EQ(store_->Usage({"type==regular,immutable"}).value().at(0).id, base_id);
  EXPECT_EQ(store_->Usage({"mutable", "shared"}).value().at(0).id, top_id);
  EXPECT_EQ(store_->Usage({"immutable", "mutable"}).value().size(), 2U);
  EXPECT_TRUE(store_->Usage({"shared"}).value().empty());
  EXPECT_EQ(store_->Usage({"id=x"}).status().code(), StatusCode::kInvalidArgument);
}

TEST_P(RefStoreSuite, PruneAllLeavesNoRecordNoBlobAndNoSnapshot) {
  RecordOptions internal;
  internal.type = RecordType::kInternal;
  {
    Ref base = Make(Ref(), {"a=1"});
    Ref top = Make(base, {"b=1"});
    ASSERT_TRUE(top.GetRemote(true, {}).ok());
    MutableRef hidden = std::move(store_->NewMutable(Ref(), internal)).value();
    ASSERT_TRUE(hidden.Commit().ok());
    RecordOptions local;
    local.retain = true;
    MutableRef source = std::move(store_->NewMutable(Ref(), local)).value();
    ASSERT_TRUE(source.Commit().ok());
  }
  Ids removed;
  Ids dropped;
  store_->OnRemove([&](std::string_view id, std::string_view) { dropped.emplace_back(id); });
  auto count = [&](const UsageRecord& record) { removed.push_back(record.id); };
  ASSERT_TRUE(store_->Prune({}, count).ok());
  EXPECT_EQ(removed.size(), 3U);
  EXPECT_EQ(dropped.size(), 4U);  // the frozen view of the retained tree goes with it
  EXPECT_EQ(store_->Usage({}).value().size(), 1U);
  PruneOptions all;
  all.all = true;
  ASSERT_TRUE(store_->Prune(all, count).ok());
  EXPECT_TRUE(store_->Usage({}).value().empty());
  EXPECT_TRUE(content_->List().value().empty());
  EXPECT_EQ(Snapshots(), 0U);
  Close();
  Open();
  EXPECT_TRUE(store_->Usage({}).value().empty());
}

TEST_P(RefStoreSuite, ATreeThatWasWrittenAgainAndAgainGoesAsOne) {
  RecordOptions local;
  local.retain = true;
  std::string id;
  {
    MutableRef tree = std::move(store_->NewMutable(Ref(), local)).value();
    id = tree.id();
    Ref view = std::move(tree.Commit()).value();
  }
  for (int i = 0; i < 20; ++i) {
    StatusOr<MutableRef> tree = store_->GetMutable(id);
    ASSERT_TRUE(tree.ok()) << tree.status();
    Edit(tree->Mount(false).value().mounts[0].source, {"f=" + std::to_string(i)});
    Ref view = std::move(tree->Commit()).value();
  }
  Close();
  Open();
  EXPECT_EQ(store_->Usage({}).value().size(), 1U);
  ASSERT_TRUE(store_->Prune({}, {}).ok());
  EXPECT_TRUE(store_->Usage({}).value().empty());
  EXPECT_EQ(Snapshots(), 0U);
}

TEST_P(RefStoreSuite, PruneKeepsTheLimitAndTheRecent) {
  { Ref one = Make(Ref(), {"a=" + std::string(200'000, 'x')}); }
  { Ref two = Make(Ref(), {"b=" + std::string(200'000, 'y')}); }
  PruneOptions recent;
  recent.keep_duration_nanos = int64_t{3600} * 1'000'000'000;
  ASSERT_TRUE(store_->Prune(recent, {}).ok());
  EXPECT_EQ(store_->Usage({}).value().size(), 2U);
  PruneOptions limit;
  limit.max_used_bytes = 300'000;
  ASSERT_TRUE(store_->Prune(limit, {}).ok());
  std::vector<UsageRecord> left = store_->Usage({}).value();
  ASSERT_EQ(left.size(), 1U);
}

TEST_P(RefStoreSuite, AFileOfTwoTreesCountsOnce) {
  auto sum = [&] {
    int64_t bytes = 0;
    const std::vector<UsageRecord> records = store_->Usage({}).value();
    for (const UsageRecord& record : records) bytes += record.size;
    return bytes;
  };
  constexpr int64_t kFile = 400'000;
  constexpr int64_t kFolders = 20'000;
  {
    Ref one = Make(Ref(), {"a=" + std::string(kFile, 'x')});
    EXPECT_GE(sum(), kFile);
    MutableRef tree = std::move(store_->NewMutable(Ref(), {})).value();
    {
      MountLease from = std::move(one.Mount(true)).value();
      MountLease to = std::move(tree.Mount(false)).value();
      ASSERT_EQ(::link((from.mounts[0].source + "/a").c_str(),
                       (to.mounts[0].source + "/a").c_str()), 0);
    }
    one.SharesFiles();
    Ref two = std::move(tree.Commit()).value();
    EXPECT_NEAR(static_cast<double>(two.Size().value()), kFile / 2.0, kFolders);
    EXPECT_NEAR(static_cast<double>(one.Size().value()), kFile / 2.0, kFolders);
  }
  Close();
  Open();  // nothing of it was kept as if it were sure
  EXPECT_NEAR(static_cast<double>(sum()), kFile, kFolders);
  PruneOptions limit;
  limit.max_used_bytes = kFile + kFolders;
  ASSERT_TRUE(store_->Prune(limit, {}).ok());
  EXPECT_EQ(store_->Usage({}).value().size(), 2U);
  limit.max_used_bytes = kFile / 2;  // the first to go frees nothing
  int64_t freed = 0;
  ASSERT_TRUE(store_->Prune(limit, [&](const UsageRecord& gone) { freed += gone.size; }).ok());
  EXPECT_TRUE(store_->Usage({}).value().empty());
  EXPECT_NEAR(static_cast<double>(freed), kFile, kFolders);
}

TEST_P(RefStoreSuite, KeptBlobsSurviveASweepUntilDropped) {
  oci::Descriptor blob = std::move(WriteBlob(*content_, "log", "text/plain")).value();
  ASSERT_TRUE(store_->KeepBlobs("history/1", {blob.digest}).ok());
  ASSERT_TRUE(store_->Prune({}, {}).ok());
  EXPECT_TRUE(content_->Stat(blob.digest).ok());
  ASSERT_TRUE(store_->DropBlobs("history/1").ok());
  ASSERT_TRUE(store_->Prune({}, {}).ok());
  EXPECT_FALSE(content_->Stat(blob.digest).ok());
}

TEST_P(RefStoreSuite, TheStartReconcilesFilesAndRecords) {
  std::string base_id;
  std::string top_id;
  std::string lone_id;
  {
    Ref base = Make(Ref(), {"a=1"});
    Ref top = Make(base, {"b=1"});
    Ref lone = Make(Ref(), {"c=1"});
    base_id = base.id();
    top_id = top.id();
    lone_id = lone.id();
  }
  Close();
  ASSERT_TRUE(RemoveAll(root() + "/snapshots/" + base_id).ok());
  ASSERT_TRUE(MakeDirs(root() + "/snapshots/unknown/fs").ok());
  ASSERT_TRUE(MakeDirs(root() + "/tmp/left-over").ok());
  Open();
  EXPECT_TRUE(IsNotFound(store_->Get(base_id).status()));
  EXPECT_TRUE(IsNotFound(store_->Get(top_id).status()));
  EXPECT_TRUE(store_->Get(lone_id).ok());
  EXPECT_EQ(Snapshots(), 1U);
  EXPECT_FALSE(PathExists(root() + "/tmp/left-over"));
}

TEST_P(RefStoreSuite, FilesThatALostBootMayNotHaveWrittenAreNotUsed) {
  std::string built_id;
  std::string pulled_id;
  {
    Ref built = Make(Ref(), {"a=1"});
    built_id = built.id();
    Ref other = Make(Ref(), {"b=1"});
    Remote remote = std::move(other.GetRemote(true, {})).value();
    Layer layer = remote.layers[0];
    Ref pulled = std::move(store_->GetByBlob(layer, built, {}, nullptr)).value();
    ASSERT_TRUE(pulled.Extract().ok());
    Ref alone = std::move(store_->GetByBlob(layer, Ref(), {}, nullptr)).value();
    pulled_id = alone.id();
  }
  Close();
  Open("boot-2");
  EXPECT_TRUE(IsNotFound(store_->Get(built_id).status()));
  StatusOr<Ref> pulled = store_->Get(pulled_id);
  ASSERT_TRUE(pulled.ok()) << pulled.status();
  EXPECT_TRUE(pulled->lazy());
  EXPECT_EQ(Describe(*pulled), "b=1 ");
}

TEST_P(RefStoreSuite, AFolderMadeJustBeforeTheEndIsMadeAgain) {
  std::string id;
  {
    Ref other = Make(Ref(), {"b=1"});
    Remote remote = std::move(other.GetRemote(true, {})).value();
    Ref base = Make(Ref(), {"a=1"});
    id = std::move(store_->GetByBlob(remote.layers[0], base, {}, nullptr)).value().id();
  }
  Close();
  ASSERT_TRUE(MakeDirs(root() + "/snapshots/" + id + "/fs/half").ok());
  Open();
  StatusOr<Ref> again = store_->Get(id);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(Describe(*again), "a=1 b=1 ");
}

TEST_P(RefStoreSuite, ALostBlobIsMadeAgainFromItsTree) {
  Ref base = Make(Ref(), {"a=1"});
  Digest first = base.GetRemote(true, {}).value().layers[0].blob.digest;
  ASSERT_TRUE(content_->Sweep([](const Digest&) { return false; }).ok());
  EXPECT_EQ(base.GetRemote(true, {}).value().layers[0].blob.digest, first);
  EXPECT_TRUE(content_->Stat(first).ok());
}

TEST_P(RefStoreSuite, ADamagedBlobIsDataLossAndLeavesNothing) {
  class Liar : public BlobSource {
   public:
    explicit Liar(ContentStore* content) : content_(content) {}
    StatusOr<std::unique_ptr<BlobReader>> Open(const oci::Descriptor&) override {
      return content_->Open(Digest::Of("not a layer"));
    }

   private:
    ContentStore* content_;
  };
  ASSERT_TRUE(WriteBlob(*content_, "not a layer", "text/plain").ok());
  Layer layer;
  layer.blob.media_type = std::string(oci::kOciLayer);
  layer.blob.digest = Digest::Of("a layer");
  layer.blob.size = 11;
  Ref ref = std::move(store_->GetByBlob(layer, Ref(), {}, std::make_shared<Liar>(content_.get())))
                .value();
  EXPECT_EQ(ref.Extract().code(), StatusCode::kDataLoss);
  EXPECT_TRUE(ListDir(store_->temp_dir()).value().empty());
  EXPECT_EQ(Snapshots(), 0U);
}

}  // namespace kiln::cache
