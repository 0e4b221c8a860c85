#include "cache/afar/afar_layer.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/file.h"
#include "base/strings.h"
#include "cache/afar/testing/packed_layer.h"

namespace kiln::cache {
namespace {

using testing::Noise;
using testing::PackedEntries;
using testing::PackedLayer;
using testing::TarEntry;

class AfarLayerTest : public ::testing::Test {
 protected:
  StatusOr<std::shared_ptr<AfarLayer>> Open(std::shared_ptr<PackedLayer> from,
                                            int64_t room = 1 << 30) {
    return AfarLayer::Open(from->blob, from, temp_.path(), std::make_shared<ChunkSpace>(room), {});
  }
  static StatusOr<std::string> Read(AfarLayer& layer, std::string_view path, uint64_t offset,
                                    size_t count) {
    std::string out(count, '?');
    const uint32_t node = layer.tree().Find(0, path);
    ASSIGN_OR_RETURN(size_t got, layer.Read(node, offset, out));
    out.resize(got);
    return out;
  }
  TempDir temp_{MakeTempDir(::testing::TempDir(), "afar-").value()};
};

TEST_F(AfarLayerTest, FetchesWhatIsReadAndOnlyThat) {
  const std::string large = Noise(9 << 20);
  auto from = std::make_shared<PackedLayer>(PackedEntries{
      {TarEntry('0', "before"), Noise(3 << 20, 2)}, {TarEntry('0', "small"), "few"},
      {TarEntry('0', "large"), large}});
  auto layer = Open(from).value();
  EXPECT_EQ(Read(*layer, "small", 0, 100).value_or(""), "few");
  EXPECT_LT(from->read, 100u << 10);
  // Over the border of two chunks.
  EXPECT_TRUE(Read(*layer, "large", (4 << 20) - 5, 10).value_or("") ==
              large.substr((4 << 20) - 5, 10));
  EXPECT_LT(from->read, 9u << 20);
  EXPECT_TRUE(Read(*layer, "large", 0, large.size() + 5).value_or("") == large);
  EXPECT_EQ(Read(*layer, "large", large.size(), 1).value_or("?"), "");
  const uint64_t asked = from->asked;
  EXPECT_TRUE(Read(*layer, "large", 1 << 20, 100).ok());
  EXPECT_EQ(from->asked, asked);
  EXPECT_GT(layer->bytes(), 9 << 20);
}

TEST_F(AfarLayerTest, FetchesSmallFilesTogether) {
  PackedEntries entries;
  for (int i = 0; i < 1000; ++i) entries.emplace_back(TarEntry('0', StrCat("file", i)), StrCat(i));
  auto from = std::make_shared<PackedLayer>(entries);
  auto layer = Open(from).value();
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(Read(*layer, StrCat("file", i), 0, 10).value_or(""), StrCat(i));
  }
  EXPECT_LT(from->asked, 20u);
}

TEST_F(AfarLayerTest, ReadersOfOneChunkFetchItOnce) {
  auto from = std::make_shared<PackedLayer>(
      PackedEntries{{TarEntry('0', "file"), Noise(4 << 20)}});
  auto layer = Open(from).value();
  const uint64_t asked = from->asked;
  std::vector<std::jthread> readers;
  for (uint64_t i = 0; i < 8; ++i) {
    readers.emplace_back([&, i] { EXPECT_TRUE(Read(*layer, "file", i << 10, 100).ok()); });
  }
  readers.clear();
  EXPECT_EQ(from->asked, asked + 1);
}

TEST_F(AfarLayerTest, WorksWithoutRoom) {
  const std::string bytes = Noise(9 << 20);
  auto from = std::make_shared<PackedLayer>(PackedEntries{{TarEntry('0', "file"), bytes}});
  auto layer = Open(from, 0).value();
  EXPECT_TRUE(Read(*layer, "file", 0, bytes.size()).value_or("") == bytes);
  EXPECT_EQ(layer->bytes(), 0);
}

TEST_F(AfarLayerTest, ASourceThatFailsFailsTheRead) {
  auto from = std::make_shared<PackedLayer>(
      PackedEntries{{TarEntry('0', "file"), Noise(1000)}, {TarEntry('0', "more"), Noise(99)}});
  auto layer = Open(from).value();
  from->Fail(UnavailableError("dial tcp: connection refused"));
  const uint64_t asked = from->asked;
  EXPECT_EQ(Read(*layer, "file", 0, 10).status().message(), "dial tcp: connection refused");
  EXPECT_EQ(Read(*layer, "more", 0, 10).status().message(), "dial tcp: connection refused");
  EXPECT_EQ(from->asked, asked + 2);
  from->Fail(OkStatus());
  EXPECT_TRUE(Read(*layer, "more", 0, 10).ok());
}

TEST_F(AfarLayerTest, OtherBytesAreNotGiven) {
  auto from = std::make_shared<PackedLayer>(
      PackedEntries{{TarEntry('0', "file"), Noise(1000)}, {TarEntry('0', "good"), Noise(50'000)}});
  auto layer = Open(from).value();
  from->Damage(layer->tree().streams()[0].offset + 500);
  // What comes along with a good one is not given either.
  EXPECT_TRUE(Read(*layer, "good", 0, 10).ok());
  EXPECT_EQ(Read(*layer, "file", 0, 10).status().code(), StatusCode::kDataLoss);
}

TEST_F(AfarLayerTest, SaysWhyALayerHasToBeUnpacked) {
  auto from = std::make_shared<PackedLayer>(PackedEntries{{TarEntry('0', "file"), "x"}});
  from->blob.annotations.clear();
  EXPECT_TRUE(Contains(Open(from).status().message(), "no digest of a table of contents"));
  from->blob.media_type = "application/vnd.oci.image.layer.v1.tar+zstd";
  EXPECT_TRUE(Contains(Open(from).status().message(), "no eStargz"));
  auto silent = std::make_shared<PackedLayer>(PackedEntries{{TarEntry('0', "file"), "x"}});
  silent->Fail(UnimplementedError("no ranges"));
  EXPECT_EQ(Open(silent).status().message(), "no ranges");
}

TEST_F(AfarLayerTest, EndsWhenItIsStopped) {
  struct Waiting : BlobRanges {
    explicit Waiting(std::shared_ptr<PackedLayer> layer) : from(std::move(layer)) {}
    StatusOr<std::string> ReadRange(const oci::Descriptor& blob, uint64_t offset, uint64_t length,
                                    std::stop_token stop) override {
      if (!wait) return from->ReadRange(blob, offset, length, stop);
      std::mutex mutex;
      std::condition_variable_any stopped;
      std::unique_lock lock(mutex);
      stopped.wait(lock, stop, [] { return false; });
      return CancelledError("context canceled");
    }
    std::shared_ptr<PackedLayer> from;
    std::atomic<bool> wait = false;
  };
  auto from = std::make_shared<Waiting>(
      std::make_shared<PackedLayer>(PackedEntries{{TarEntry('0', "file"), "bytes"}}));
  auto layer = AfarLayer::Open(from->from->blob, from, temp_.path(),
                               std::make_shared<ChunkSpace>(1 << 20), {})
                   .value();
  from->wait = true;
  std::jthread reader([&] { EXPECT_FALSE(Read(*layer, "file", 0, 5).ok()); });
  layer->Stop();
}

}  // namespace
}  // namespace kiln::cache
