// Unit tests of cache documents. testdata/ holds configs that the reference exported.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/file.h"
#include "cache/remote/cache_chains.h"
#include "cache/remote/cache_config.h"
#include "cache/remote/cache_document.h"
#include "cache/remote/imported_graph.h"
#include "cache/index/memory_key_index.h"
#include "cache/testing/fake_content_store.h"

namespace kiln::cache {
namespace {

constexpr const char* kCases[] = {"fanout", "heredoc", "links", "run-copy", "wildcards"};

std::string Load(const std::string& name) {
  return *ReadFile(StrCat(KILN_SOURCE_DIR, "/cache/remote/testdata/", name, ".json"));
}

TEST(CacheConfig, WhatTheReferenceWroteComesBackToTheByte) {
  for (const char* name : kCases) {
    SCOPED_TRACE(name);
    std::string json = Load(name);
    auto config = ParseCacheConfig(json);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(FormatCacheConfig(*config), json);
    SortCacheConfig(&*config);
    EXPECT_EQ(FormatCacheConfig(*config), json);
  }
}

Remote RemoteOf(const CacheConfig& config, int top) {
  Remote remote;
  for (int i = top; i != -1; i = config.layers[static_cast<size_t>(i)].parent) {
    Layer layer;
    layer.blob.digest = config.layers[static_cast<size_t>(i)].blob;
    remote.layers.insert(remote.layers.begin(), layer);
  }
  return remote;
}

// Adds record `index` and, first, all that it links to.
CacheChains::Record* AddAll(const CacheConfig& config, int index, CacheChains& chains,
                            std::map<int, CacheChains::Record*>& added) {
  if (auto found = added.find(index); found != added.end()) return found->second;
  const CacheConfig::Record& record = config.records[static_cast<size_t>(index)];
  std::vector<std::vector<CacheChains::Link>> inputs;
  for (const auto& alternatives : record.inputs) {
    inputs.emplace_back();
    for (const auto& input : alternatives) {
      inputs.back().push_back({AddAll(config, input.link, chains, added), input.selector});
    }
  }
  std::vector<CacheChains::Result> results;
  for (const auto& result : record.results) {
    results.push_back({result.created, RemoteOf(config, result.layer)});
  }
  return added[index] = *chains.Add(record.digest, std::move(inputs), std::move(results));
}

TEST(CacheChains, RebuildTheReferencesDocumentFromItsRecords) {
  for (const char* name : kCases) {
    SCOPED_TRACE(name);
    std::string json = Load(name);
    auto config = ParseCacheConfig(json);
    CacheChains chains;
    std::map<int, CacheChains::Record*> added;
    // Backwards, so that the order of adding is not the order of the document.
    for (int i = static_cast<int>(config->records.size()); i-- > 0;) {
      AddAll(*config, i, chains, added);
    }
    auto out = chains.Marshal();
    EXPECT_EQ(FormatCacheConfig(out.config), json);
    std::set<Digest> blobs;
    for (const auto& layer : config->layers) blobs.insert(layer.blob);
    EXPECT_EQ(out.blobs.size(), blobs.size());
  }
}

TEST(CacheChains, EqualRecordsAreOneAndLoopsAreLeftOut) {
  CacheChains chains;
  auto* root = *chains.Add("sha256:a", {}, {});
  auto* child = *chains.Add("sha256:b", {{{root, ""}}}, {});
  EXPECT_EQ(*chains.Add("sha256:b", {{{root, ""}}}, {}), child);
  EXPECT_NE(*chains.Add("sha256:b", {{{root, "other selector"}}}, {}), child);
  auto* grandchild = *chains.Add("sha256:c", {{{child, ""}}}, {});
  // b may also stand on its own descendant, says the caller: that would be a loop.
  EXPECT_EQ(*chains.Add("sha256:b", {{{root, ""}, {grandchild, ""}}}, {}), child);
  EXPECT_TRUE(ValidateCacheConfig(chains.Marshal().config).ok());
  EXPECT_EQ(chains.Marshal().config.records.size(), 4u);
  EXPECT_FALSE(chains.Add("sha256:d", {{}}, {}).ok());
  EXPECT_EQ(*chains.Add("random:d", {}, {}), nullptr);
}

TEST(CacheConfig, HostileDocumentsAreRefused) {
  const struct {
    const char* json;
    const char* error;
  } cases[] = {
      {"[]", "cache config is not a JSON object"},
      {"{\"records\":[{\"digest\":7}]}", "cache config has a member of a wrong type"},
      {"{\"records\":[{\"inputs\":[[{\"link\":0}]]}]}", "invalid looping record"},
      {"{\"records\":[{\"inputs\":[[{\"link\":5}]]}]}", "invalid record ID: 5"},
      {"{\"records\":[{\"inputs\":[[]]}]}", "invalid empty input for record 0"},
      {"{\"records\":[{\"layers\":[{\"layer\":0}]}]}", "invalid layer index 0"},
      {"{\"layers\":[{\"blob\":\"x\"}]}", "invalid looping layer"},
      {"{\"layers\":[{\"blob\":\"x\",\"parent\":9}]}", "invalid layer index 9"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.json);
    auto config = ParseCacheConfig(c.json);
    ASSERT_FALSE(config.ok());
    EXPECT_EQ(config.status().message(), c.error);
  }
}

TEST(CacheConfig, ADeepChainIsCheckedWithoutRecursion) {
  CacheConfig config;
  for (int i = 0; i < 200'000; ++i) {
    config.records.push_back({{}, {}, StrCat("sha256:", i), {}});
    if (i > 0) config.records.back().inputs = {{{"", i - 1}}};
  }
  EXPECT_TRUE(ValidateCacheConfig(config).ok());
}

// An exported cache of one record over a root, with layers a and a+b.
CacheChains::Marshalled TwoSteps() {
  auto layer = [](const char* name) {
    Layer made;
    made.blob.media_type = std::string(oci::kOciLayer);
    made.blob.digest = Digest::Of(name);
    made.blob.size = 1;
    return made;
  };
  CacheChains chains;
  auto* root = *chains.Add("sha256:root", {}, {{Time::FromSeconds(1), {{layer("a")}, {}}}});
  chains.Add("sha256:top", {{{root, "sha256:selector"}}},
             {{Time::FromSeconds(2), {{layer("a"), layer("b")}, {}}}}).value();
  return chains.Marshal();
}

TEST(CacheDocument, ReadsBackWhatItWrote) {
  const WriteCacheOptions forms[] = {{true, true}, {false, true}, {false, false}};
  for (const WriteCacheOptions& form : forms) {
    FakeContentStore store;
    auto put = [&](CachePart, const oci::Descriptor& blob, std::string_view bytes) {
      return WriteBlob(store, bytes, blob.media_type).status();
    };
    auto marshalled = TwoSteps();
    auto root = WriteCacheDocument(marshalled, form, put);
    ASSERT_TRUE(root.ok()) << root.status();
    auto documents = ReadCacheDocuments(store, *root);
    ASSERT_TRUE(documents.ok()) << documents.status();
    ASSERT_EQ(documents->size(), 1u);
    EXPECT_EQ(FormatCacheConfig((*documents)[0].config), FormatCacheConfig(marshalled.config));
    EXPECT_EQ((*documents)[0].layers.size(), 2u);
  }
  FakeContentStore store;
  auto put = [](CachePart, const oci::Descriptor&, std::string_view) { return OkStatus(); };
  EXPECT_FALSE(WriteCacheDocument(TwoSteps(), {true, false}, put).ok());
}

TEST(CacheDocument, ABlobThatIsNotWhatItsDigestSaysIsRefused) {
  class Liar : public BlobSource {
    StatusOr<std::unique_ptr<BlobReader>> Open(const oci::Descriptor&) override {
      class Text : public BlobReader {
        uint64_t size() const override { return 2; }
        StatusOr<size_t> ReadAt(uint64_t offset, std::span<std::byte> buffer) const override {
          size_t count = std::min<size_t>(buffer.size(), 2 - std::min<uint64_t>(2, offset));
          std::fill_n(buffer.begin(), count, std::byte{'{'});
          return count;
        }
      };
      return std::make_unique<Text>();
    }
  } liar;
  oci::Descriptor root;
  root.digest = Digest::Of("else");
  root.size = 2;
  EXPECT_EQ(ReadCacheDocuments(liar, root).status().code(), StatusCode::kDataLoss);
}

TEST(ImportedGraph, LeadsFromARootToAResultAndWhatLiesBelowIt) {
  auto marshalled = TwoSteps();
  CacheDocument document{marshalled.config, {}};
  for (const auto& [digest, blob] : marshalled.blobs) document.layers[digest] = blob.first.blob;
  MemoryKeyIndex keys;
  ImportedGraph graph;
  ASSERT_TRUE(graph.Add(document, &keys).ok());

  KeyLink link;
  link.digest = Digest::Trusted("sha256:top");
  link.selector = Digest::Trusted("sha256:selector");
  auto next = keys.Links("sha256:root", link);
  ASSERT_TRUE(next.ok());
  ASSERT_EQ(next->size(), 1u);
  auto results = keys.Results((*next)[0]);
  ASSERT_EQ(results->size(), 1u);
  auto found = graph.Results((*results)[0].id);
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ((*found)[0].layers.size(), 2u);
  EXPECT_EQ((*found)[1].key, "sha256:root");
  EXPECT_EQ((*found)[1].layers.size(), 1u);
  EXPECT_TRUE(IsNotFound(graph.Results("sha256:none").status()));
}

TEST(ImportedGraph, AResultWhoseLayerIsNotListedIsLeftOut) {
  auto marshalled = TwoSteps();
  CacheDocument document{marshalled.config, {}};
  MemoryKeyIndex keys;
  ImportedGraph graph;
  ASSERT_TRUE(graph.Add(document, &keys).ok());
  EXPECT_TRUE(keys.Results("sha256:root")->empty());
}

TEST(InlineRecords, NameLayersByTheirPlaceInTheImage) {
  auto marshalled = TwoSteps();
  auto json = InlineRecords(marshalled, {Digest::Of("a"), Digest::Of("b")});
  ASSERT_TRUE(json.ok());
  auto records = ParseInlineRecords(*json);
  ASSERT_TRUE(records.ok());
  int tops = 0;
  for (const auto& record : *records) {
    for (const auto& result : record.results) tops += result.layer;
  }
  EXPECT_EQ(tops, 1);  // layer 0 and layer 1
  EXPECT_EQ(*InlineRecords(marshalled, {Digest::Of("other")}), "");
}

}  // namespace
}  // namespace kiln::cache
