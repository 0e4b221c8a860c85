#include "worker/remotecache/testing/backend_suite.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "cache/content/disk_content_store.h"
#include "solver/op.h"
#include "cache/mount.h"

namespace kiln::worker::testing {
namespace {

class NoProgress : public solver::ProgressSink {
 public:
  void Send(solver::ProgressEvent) override {}
};

// A job that nobody hears of.
class QuietJob : public solver::JobContext {
 public:
  std::vector<std::string> Sessions() const override { return {"session"}; }
  std::vector<std::string> Builds() const override { return {}; }
  solver::VertexProgress& progress() override { return progress_; }
  std::stop_token stop() const override { return {}; }
  int compatibility_version() const override { return 20; }
  StatusOr<cache::Ref> SubBuild(const llb::Edge&) override { return UnimplementedError(""); }
  StatusOr<std::string> Memo(std::string_view,
                             const std::function<StatusOr<std::string>()>& compute) override {
    return compute();
  }

 private:
  NoProgress sink_;
  solver::VertexProgress progress_{Digest::Of("job"), sink_};
};

// A source that has lost a blob.
class Without : public cache::BlobSource {
 public:
  Without(std::shared_ptr<cache::BlobSource> from, Digest lost)
      : from_(std::move(from)), lost_(std::move(lost)) {}
  StatusOr<std::unique_ptr<cache::BlobReader>> Open(const oci::Descriptor& blob) override {
    if (blob.digest == lost_) return NotFoundError(StrCat(lost_.text(), ": not found"));
    return from_->Open(blob);
  }

 private:
  std::shared_ptr<cache::BlobSource> from_;
  const Digest lost_;
};

Digest StepDigest(const std::string& step) { return Digest::Of("step " + step); }

}  // namespace

StoreRoot::StoreRoot() : temp(std::move(MakeTempDir("/tmp", "cachesuite-")).value()) {
  database = std::move(cache::Database::Open(temp.path() + "/index.db")).value();
  content = std::move(cache::OpenContentStore(temp.path() + "/content")).value();
  cache::RefStoreOptions options;
  options.root = temp.path();
  options.snapshotter = "native";
  options.content = content.get();
  options.database = database.get();
  refs = std::move(cache::RefStore::Open(options)).value();
}

cache::Ref StoreRoot::Make(const cache::Ref& parent, const std::string& file,
                           const std::string& text) {
  cache::MutableRef tree = std::move(refs->NewMutable(parent, {})).value();
  {
    auto mount = cache::LocalMount::Open(std::move(tree.Mount(false)).value(), refs->temp_dir());
    EXPECT_TRUE(mount.ok()) << mount.status();
    EXPECT_TRUE(WriteFileAtomic(mount->path() + "/" + file, text).ok());
  }
  return std::move(tree.Commit()).value();
}

std::string StoreRoot::Read(const cache::Ref& ref, const std::string& file) {
  auto lease = ref.Mount(true);
  EXPECT_TRUE(lease.ok()) << lease.status();
  if (!lease.ok()) return "";
  auto mount = cache::LocalMount::Open(*std::move(lease), refs->temp_dir());
  EXPECT_TRUE(mount.ok()) << mount.status();
  return mount.ok() ? ReadFile(mount->path() + "/" + file).value_or("") : "";
}

CacheBackendSuite::CacheBackendSuite() : place_(GetParam().make()) {}

void CacheBackendSuite::Fill(cache::CacheChains* chains, const std::string& lost) {
  cache::Ref one = maker_.Make(cache::Ref(), "one", "first");
  cache::Ref two = maker_.Make(one, "two", "second");
  auto add = [&](const std::string& step, const cache::Ref* ref,
                 std::vector<std::vector<cache::CacheChains::Link>> inputs) {
    std::vector<cache::CacheChains::Result> results;
    if (ref != nullptr) {
      auto& result = results.emplace_back();
      result.created = Time{1'700'000'000'000'000'000};
      result.remote = std::move(ref->GetRemote(true, {})).value();
      layers_[step] = result.remote.layers.back();
      if (step == lost) {
        result.remote.source =
            std::make_shared<Without>(result.remote.source, layers_[step].blob.digest);
      }
    }
    auto record = chains->Add(StepDigest(step).text(), std::move(inputs), std::move(results));
    EXPECT_TRUE(record.ok()) << record.status();
    return *record;
  };
  auto* root = add("root", nullptr, {});
  auto* first = add("one", &one, {{{root, ""}}});
  add("two", &two, {{{first, ""}}});
}

StatusOr<CacheAttrs> CacheBackendSuite::Export(const cache::CacheChains& chains,
                                               const CacheAttrs& more, const SeenBlobs& seen,
                                               std::stop_token stop) {
  CacheAttrs attrs = place_->export_attrs();
  for (const auto& [key, value] : more) attrs[key] = value;
  ASSIGN_OR_RETURN(std::unique_ptr<CacheExporter> exporter,
                   place_->backend().Export(attrs, place_->session()));
  NoProgress sink;
  solver::VertexProgress progress(Digest::Of("export"), sink);
  return exporter->Write(chains, seen, progress, std::move(stop));
}

CacheAttrs CacheBackendSuite::Exported(const cache::CacheChains& chains) {
  StatusOr<CacheAttrs> response = Export(chains);
  EXPECT_TRUE(response.ok()) << response.status();
  return response.value_or(CacheAttrs());
}

StatusOr<std::shared_ptr<ImportedCache>> CacheBackendSuite::Import(const CacheAttrs& response) {
  ASSIGN_OR_RETURN(CacheOrigin origin, place_->backend().Import(place_->import_attrs(response)));
  auto imported = std::make_shared<ImportedCache>(std::move(origin), *taker_.refs);
  RETURN_IF_ERROR(imported->Open({place_->session()}));
  return imported;
}

StatusOr<cache::Ref> CacheBackendSuite::Load(ImportedCache& imported, const std::string& step) {
  std::string key = StepDigest("root").text();
  for (const std::string& next : {std::string("one"), std::string("two")}) {
    cache::KeyLink link;
    link.digest = StepDigest(next);
    ASSIGN_OR_RETURN(std::vector<std::string> keys, imported.keys().Links(key, link));
    if (keys.empty()) return NotFoundError("no such step: " + next);
    key = keys.front();
    if (next == step) break;
  }
  ASSIGN_OR_RETURN(std::vector<cache::KeyResult> results, imported.keys().Results(key));
  if (results.empty()) return NotFoundError("no result: " + step);
  QuietJob job;
  ASSIGN_OR_RETURN(auto loaded, imported.Load(results.front().id, job));
  return std::move(loaded.front().ref);
}

TEST_P(CacheBackendSuite, WhatWasExportedIsFoundAndIsTheSameTree) {
  cache::CacheChains chains;
  Fill(&chains);
  auto imported = Import(Exported(chains));
  ASSERT_TRUE(imported.ok()) << imported.status();
  auto two = Load(**imported, "two");
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_EQ(taker_.Read(*two, "one"), "first");
  EXPECT_EQ(taker_.Read(*two, "two"), "second");
  EXPECT_EQ((*imported)->listed(), (std::set<Digest>{LayerOf("one"), LayerOf("two")}));
}

TEST_P(CacheBackendSuite, EveryFormComesBack) {
  const std::vector<CacheAttrs> forms = {
      {{"image-manifest", "true"}},
      {{"image-manifest", "false"}},
      {{"oci-mediatypes", "false"}},
      {{"oci-mediatypes", "true"}, {"image-manifest", "false"}},
  };
  cache::CacheChains chains;
  Fill(&chains);
  for (const CacheAttrs& form : forms) {
    auto response = Export(chains, form);
    ASSERT_TRUE(response.ok()) << response.status();
    auto imported = Import(*response);
    ASSERT_TRUE(imported.ok()) << imported.status();
    EXPECT_TRUE(Load(**imported, "two").ok());
  }
}

TEST_P(CacheBackendSuite, NothingIsFetchedBeforeItIsRead) {
  cache::CacheChains chains;
  Fill(&chains);
  CacheAttrs response = Exported(chains);
  place_->TakeAsked();
  auto imported = Import(response);
  ASSERT_TRUE(imported.ok()) << imported.status();
  auto two = Load(**imported, "two");
  ASSERT_TRUE(two.ok()) << two.status();
  for (const std::string& asked : place_->TakeAsked().questions) {
    EXPECT_NE(asked, LayerOf("one").text());
    EXPECT_NE(asked, LayerOf("two").text());
  }
  EXPECT_TRUE(two->lazy());
}

TEST_P(CacheBackendSuite, ABlobIsAskedForOnceAndSentOnce) {
  cache::CacheChains chains;
  Fill(&chains);
  place_->TakeAsked();
  Exported(chains);
  CachePlace::Asked first = place_->TakeAsked();
  EXPECT_EQ(std::ranges::count(first.sent, LayerOf("one").text()), 1);
  EXPECT_EQ(std::ranges::count(first.sent, LayerOf("two").text()), 1);
  Exported(chains);
  CachePlace::Asked second = place_->TakeAsked();
  for (const std::string& step : {std::string("one"), std::string("two")}) {
    EXPECT_LE(std::ranges::count(first.questions, LayerOf(step).text()), 1);
    EXPECT_LE(std::ranges::count(second.questions, LayerOf(step).text()), 1);
    EXPECT_EQ(std::ranges::count(second.sent, LayerOf(step).text()), 0) << "sent again";
  }
}

TEST_P(CacheBackendSuite, WhatAnImportHasSeenIsNotAskedForAgain) {
  if (!place_->names_itself()) {
    auto imported = Import(Exported({}));
    EXPECT_TRUE(!imported.ok() || (*imported)->place().empty());
    return;
  }
  cache::CacheChains chains;
  Fill(&chains);
  auto imported = Import(Exported(chains));
  ASSERT_TRUE(imported.ok()) << imported.status();
  SeenBlobs seen;
  seen[(*imported)->place()] = (*imported)->listed();
  place_->TakeAsked();
  ASSERT_TRUE(Export(chains, {}, seen).ok());
  CachePlace::Asked asked = place_->TakeAsked();
  EXPECT_EQ(std::ranges::count(asked.questions, LayerOf("one").text()), 0);
  EXPECT_EQ(std::ranges::count(asked.questions, LayerOf("two").text()), 0);
  // … unless the place has dropped it since.
  place_->Lose(LayerOf("one"));
  auto again = Export(chains, {}, seen);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(place_->Has(LayerOf("one")));
}

TEST_P(CacheBackendSuite, AnEmptyCacheIsNoFailure) {
  auto response = Export({});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(response->empty());
}

TEST_P(CacheBackendSuite, AResultWhoseLayerIsGoneIsLeftOut) {
  cache::CacheChains chains;
  Fill(&chains, "two");
  auto imported = Import(Exported(chains));
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_TRUE(Load(**imported, "one").ok());
  EXPECT_TRUE(IsNotFound(Load(**imported, "two").status()));
}

TEST_P(CacheBackendSuite, ALayerThatIsLostOrDamagedIsAFailureOfItsReadOnly) {
  cache::CacheChains chains;
  Fill(&chains);
  CacheAttrs response = Exported(chains);
  place_->Lose(LayerOf("two"));
  auto imported = Import(response);
  ASSERT_TRUE(imported.ok()) << imported.status();
  {
    auto two = Load(**imported, "two");
    EXPECT_FALSE(two.ok() && two->Extract().ok());
  }
  auto one = Load(**imported, "one");
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(taker_.Read(*one, "one"), "first");
}

TEST_P(CacheBackendSuite, DamagedBytesAreNeverTakenForALayer) {
  cache::CacheChains chains;
  Fill(&chains);
  CacheAttrs response = Exported(chains);
  place_->Damage(LayerOf("one"));
  auto imported = Import(response);
  ASSERT_TRUE(imported.ok()) << imported.status();
  auto one = Load(**imported, "one");
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_FALSE(one->Extract().ok());
  EXPECT_TRUE(one->lazy());
}

TEST_P(CacheBackendSuite, AMissingCacheIsAnErrorOfTheImport) {
  cache::CacheChains chains;
  Fill(&chains);
  CacheAttrs response = Exported(chains);
  std::unique_ptr<CachePlace> empty = GetParam().make();
  std::swap(empty, place_);
  auto imported = Import(response);
  EXPECT_FALSE(imported.ok());
  EXPECT_NE(imported.status().message(), "");
}

TEST_P(CacheBackendSuite, APlaceThatIsAwayFailsAndDoesNotHang) {
  cache::CacheChains chains;
  Fill(&chains);
  CacheAttrs response = Exported(chains);
  place_->GoAway();
  EXPECT_FALSE(Import(response).ok());
  EXPECT_FALSE(Export(chains).ok());
}

TEST_P(CacheBackendSuite, AnExportThatIsStoppedNamesNothing) {
  cache::CacheChains chains;
  Fill(&chains);
  std::stop_source stop;
  stop.request_stop();
  place_->TakeAsked();
  EXPECT_FALSE(Export(chains, {}, {}, stop.get_token()).ok());
  EXPECT_TRUE(place_->TakeAsked().sent.empty());
}

TEST_P(CacheBackendSuite, AttributesThatMakeNoSenseAreRefused) {
  EXPECT_EQ(Export({}, {{"oci-mediatypes", "perhaps"}}).status().message(),
            "failed to parse oci-mediatypes: strconv.ParseBool: parsing \"perhaps\": invalid "
            "syntax");
  EXPECT_EQ(Export({}, {{"compression", "best"}}).status().message(),
            "unsupported compression type best");
  EXPECT_FALSE(place_->backend().Import({}).ok());
  EXPECT_FALSE(place_->backend().Export({}, place_->session()).ok());
}

}  // namespace kiln::worker::testing
