// Attributes of cache exports and imports, and what a document export writes where.
#include "worker/remotecache/cache_backend.h"

#include <gtest/gtest.h>

#include <mutex>
#include <set>

#include "cache/testing/fake_content_store.h"
#include "worker/remotecache/document_export.h"

namespace kiln::worker {
namespace {

class NoProgress : public solver::ProgressSink {
 public:
  void Send(solver::ProgressEvent) override {}
};

class Recorder : public BlobTarget {
 public:
  Status PutLayer(const oci::Descriptor& blob, cache::BlobSource& source,
                  std::stop_token) override {
    std::lock_guard lock(mutex);
    ++layers[blob.digest];
    return fail ? UnavailableError("gone") : source.Open(blob).status();
  }
  Status PutBytes(cache::CachePart part, const oci::Descriptor&, std::string_view bytes,
                  std::stop_token) override {
    (part == cache::CachePart::kConfig ? config : manifest) = std::string(bytes);
    return OkStatus();
  }
  std::mutex mutex;
  std::map<Digest, int> layers;
  std::string config, manifest;
  bool fail = false;
};

class DocumentExportTest : public testing::Test {
 protected:
  StatusOr<CacheAttrs> Write(const CacheAttrs& attrs) {
    auto options = ParseDocumentExport(attrs);
    if (!options.ok()) return options.status();
    auto target = std::make_unique<Recorder>();
    recorder = target.get();
    recorder->fail = fail;
    exporter = NewDocumentExporter("exporting", *options, std::move(target));
    solver::VertexProgress progress(Digest::Of("v"), sink);
    return exporter->Write(chains, seen, progress, {});
  }
  // A blob twice: alone, and on top of another one.
  void Fill() {
    auto store = std::make_shared<cache::FakeContentStore>();
    auto layer = [&](std::string_view text) {
      auto blob = cache::WriteBlob(*store, text, oci::kDockerLayerGzip);
      return cache::Layer{*blob, {Digest::Of("tree")}, "", Time{1700000000000000005}};
    };
    auto root = chains.Add("sha256:root", {}, {});
    auto add = [&](const char* digest, std::vector<cache::Layer> layers) {
      std::vector<cache::CacheChains::Result> results(1);
      results[0].remote = {std::move(layers), store};
      ASSERT_TRUE(chains.Add(digest, {{{*root, ""}}}, std::move(results)).ok());
    };
    add("sha256:one", {layer("x")});
    add("sha256:two", {layer("y"), layer("x")});
  }

  cache::CacheChains chains;
  SeenBlobs seen;
  NoProgress sink;
  std::unique_ptr<CacheExporter> exporter;
  Recorder* recorder = nullptr;
  bool fail = false;
};

TEST_F(DocumentExportTest, WritesEachBlobOnceThenConfigAndManifest) {
  Fill();
  auto response = Write({});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(recorder->layers.size(), 2u);
  for (const auto& [digest, times] : recorder->layers) EXPECT_EQ(times, 1);
  EXPECT_NE(recorder->manifest.find("\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\""),
            std::string::npos);
  EXPECT_NE(recorder->manifest.find("\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\""),
            std::string::npos);
  EXPECT_NE(recorder->manifest.find("\"buildkit/createdat\":\"2023-11-14T22:13:20.000000005Z\""),
            std::string::npos);
  EXPECT_NE((*response)["cache.manifest"].find(Digest::Of(recorder->manifest).text()),
            std::string::npos);
}

TEST_F(DocumentExportTest, DockerTypesMeanAList) {
  Fill();
  ASSERT_TRUE(Write({{"oci-mediatypes", "false"}}).ok());
  EXPECT_NE(recorder->manifest.find("distribution.manifest.list.v2+json"), std::string::npos);
  EXPECT_NE(recorder->manifest.find("image.rootfs.diff.tar.gzip"), std::string::npos);
  EXPECT_EQ(Write({{"oci-mediatypes", "false"}, {"image-manifest", "true"}}).status().message(),
            "invalid configuration for remote cache, OCI mediatypes are required for "
            "image-manifest cache format");
}

TEST_F(DocumentExportTest, AnEmptyCacheIsNotWritten) {
  auto response = Write({});
  ASSERT_TRUE(response.ok());
  EXPECT_TRUE(response->empty());
  EXPECT_TRUE(recorder->manifest.empty());
}

TEST_F(DocumentExportTest, AFailedLayerLeavesNoManifest) {
  Fill();
  fail = true;
  EXPECT_EQ(Write({}).status().message(), "error writing layer blob: gone");
  EXPECT_TRUE(recorder->manifest.empty());
}

TEST_F(DocumentExportTest, AResultWhoseLayerIsGoneIsLeftOut) {
  Fill();
  auto root = chains.Add("sha256:root", {}, {});
  std::vector<cache::CacheChains::Result> results(1);
  cache::Layer gone{{std::string(oci::kOciLayerGzip), Digest::Of("gone"), 4}, {}, "", {}};
  results[0].remote = {{gone}, std::make_shared<cache::FakeContentStore>()};
  ASSERT_TRUE(chains.Add("sha256:three", {{{*root, ""}}}, std::move(results)).ok());
  ASSERT_TRUE(Write({}).ok());
  auto config = cache::ParseCacheConfig(recorder->config);
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->records.size(), 4u);
  EXPECT_EQ(config->layers.size(), 3u);
  EXPECT_EQ(recorder->manifest.find(Digest::Of("gone").text()), std::string::npos);
}

TEST(CacheAttributes, AreRefusedInTheReferencesWords) {
  auto message = [](const CacheAttrs& attrs) {
    return ParseDocumentExport(attrs).status().message();
  };
  EXPECT_EQ(message({{"oci-mediatypes", "x"}}),
            "failed to parse oci-mediatypes: strconv.ParseBool: parsing \"x\": invalid syntax");
  EXPECT_EQ(message({{"image-manifest", "foo"}}),
            "failed to parse image-manifest: strconv.ParseBool: parsing \"foo\": invalid syntax");
  EXPECT_EQ(message({{"compression", "foo"}}), "unsupported compression type foo");
  EXPECT_EQ(message({{"compression-level", "foo"}}),
            "non-integer value foo specified for compression-level: strconv.ParseInt: parsing "
            "\"foo\": invalid syntax");
}

}  // namespace
}  // namespace kiln::worker
