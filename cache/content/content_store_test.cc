// Conformance suite of ContentStore, run on the store on disk and on the fake.
#include "cache/content/content_store.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/file.h"
#include "cache/content/disk_content_store.h"
#include "cache/testing/fake_content_store.h"

namespace kiln::cache {
namespace {

class ContentStoreSuite : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) {
      store_ = std::move(OpenContentStore(temp_.path() + "/content")).value();
    } else {
      store_ = std::make_unique<FakeContentStore>();
    }
  }
  oci::Descriptor Put(std::string_view bytes) {
    return std::move(WriteBlob(*store_, bytes, "text/plain")).value();
  }
  static bool Nothing(const Digest&) { return false; }
  TempDir temp_{std::move(MakeTempDir("/tmp", "content-")).value()};
  std::unique_ptr<ContentStore> store_;
};

TEST_P(ContentStoreSuite, ABlobIsReadBackUnderItsDigest) {
  oci::Descriptor blob = Put("hello");
  EXPECT_EQ(blob.digest, Digest::Of("hello"));
  EXPECT_EQ(ReadBlob(*store_, blob).value_or("?"), "hello");
  EXPECT_EQ(store_->Stat(blob.digest).value().size, 5);
  std::byte buffer[3];
  EXPECT_EQ((*store_->Open(blob.digest))->ReadAt(3, buffer).value_or(9), 2U);
  EXPECT_EQ(std::memcmp(buffer, "lo", 2), 0);
  EXPECT_EQ((*store_->Open(blob.digest))->ReadAt(5, buffer).value_or(9), 0U);
}

TEST_P(ContentStoreSuite, AWriterIsInvisibleUntilCommitAndDiscardedWhenDropped) {
  std::unique_ptr<BlobWriter> writer = std::move(store_->NewWriter()).value();
  ASSERT_TRUE(writer->Append("half").ok());
  EXPECT_TRUE(store_->List().value().empty());
  writer.reset();
  EXPECT_TRUE(store_->List().value().empty());
}

TEST_P(ContentStoreSuite, WrongBytesAreDataLoss) {
  std::unique_ptr<BlobWriter> writer = std::move(store_->NewWriter()).value();
  ASSERT_TRUE(writer->Append("abc").ok());
  oci::Descriptor expected;
  expected.digest = Digest::Of("abd");
  expected.size = 3;
  EXPECT_EQ(writer->Commit(expected).status().code(), StatusCode::kDataLoss);
  expected.digest = Digest::Of("abc");
  expected.size = 4;
  EXPECT_EQ(writer->Commit(expected).status().code(), StatusCode::kDataLoss);
  EXPECT_TRUE(store_->List().value().empty());
  expected.size = -1;
  EXPECT_TRUE(writer->Commit(expected).ok());
}

TEST_P(ContentStoreSuite, CommittingTheSameBlobTwiceIsFine) {
  Put("x");
  std::unique_ptr<BlobWriter> writer = std::move(store_->NewWriter()).value();
  ASSERT_TRUE(writer->Append("x").ok());
  EXPECT_TRUE(writer->Commit({}).ok());
  EXPECT_EQ(store_->List().value().size(), 1U);
}

TEST_P(ContentStoreSuite, WhatIsMissingIsNotFound) {
  EXPECT_TRUE(IsNotFound(store_->Open(Digest::Of("no")).status()));
  EXPECT_TRUE(IsNotFound(store_->Stat(Digest::Of("no")).status()));
}

TEST_P(ContentStoreSuite, SweepKeepsWhatIsLiveAndReadersStayValid) {
  oci::Descriptor kept = Put("kept");
  oci::Descriptor gone = Put("gone!");
  std::unique_ptr<BlobReader> reader = std::move(store_->Open(gone.digest)).value();
  EXPECT_EQ(store_->Sweep([&](const Digest& d) { return d == kept.digest; }).value_or(0), 5U);
  EXPECT_TRUE(store_->Stat(kept.digest).ok());
  EXPECT_FALSE(store_->Stat(gone.digest).ok());
  std::byte buffer[8];
  EXPECT_EQ(reader->ReadAt(0, buffer).value_or(0), 5U);
}

TEST_P(ContentStoreSuite, AHoldProtectsWhatIsTouchedWhileItLives) {
  oci::Descriptor before = Put("before");
  oci::Descriptor found = Put("found");
  std::shared_ptr<void> hold = store_->Hold();
  ASSERT_TRUE(store_->Stat(found.digest).ok());
  oci::Descriptor fresh = Put("fresh");
  ASSERT_TRUE(store_->Sweep(Nothing).ok());
  EXPECT_FALSE(store_->Stat(before.digest).ok());
  EXPECT_TRUE(store_->Stat(found.digest).ok());
  EXPECT_TRUE(store_->Stat(fresh.digest).ok());
  hold.reset();
  ASSERT_TRUE(store_->Sweep(Nothing).ok());
  EXPECT_TRUE(store_->List().value().empty());
}

TEST_P(ContentStoreSuite, ReadBlobHasALimit) {
  EXPECT_EQ(ReadBlob(*store_, Put("12345"), 4).status().code(), StatusCode::kResourceExhausted);
}

INSTANTIATE_TEST_SUITE_P(All, ContentStoreSuite, testing::Bool(), [](const auto& one) {
  return one.param ? "OnDisk" : "Fake";
});

TEST(DiskContentStore, IsAnImageLayoutAndForgetsUnfinishedWrites) {
  TempDir temp(std::move(MakeTempDir("/tmp", "content-")).value());
  {
    auto store = std::move(OpenContentStore(temp.path())).value();
    ASSERT_TRUE(WriteBlob(*store, "x", "text/plain").ok());
    ASSERT_TRUE(WriteFileAtomic(temp.path() + "/ingest/left", "partial").ok());
  }
  auto store = std::move(OpenContentStore(temp.path())).value();
  EXPECT_FALSE(PathExists(temp.path() + "/ingest/left"));
  EXPECT_TRUE(store->Stat(Digest::Of("x")).ok());
  EXPECT_EQ(ReadFile(temp.path() + "/oci-layout").value_or(""),
            "{\"imageLayoutVersion\":\"1.0.0\"}");
  EXPECT_EQ(store->Open(Digest::Trusted("sha256:../../../etc/passwd")).status().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace kiln::cache
