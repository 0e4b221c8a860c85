#include "cache/afar/chunk_file.h"

#include <gtest/gtest.h>

#include <array>

#include "base/file.h"

namespace kiln::cache {
namespace {

class ChunkFileTest : public testing::Test {
 protected:
  std::unique_ptr<ChunkFile> Open(std::shared_ptr<ChunkSpace> space) {
    return ChunkFile::Open(temp_.path(), kSizes, std::move(space)).value();
  }
  static std::string Text(ChunkFile& file, uint32_t chunk, uint64_t offset, size_t count) {
    std::string out(count, '?');
    StatusOr<bool> here = file.Read(chunk, offset, out);
    return here.ok() && *here ? out : "";
  }
  static constexpr std::array<uint64_t, 3> kSizes{5, 5000, 7};
  TempDir temp_{MakeTempDir(testing::TempDir(), "chunks-").value()};
};

TEST_F(ChunkFileTest, KeepsWhatItIsGiven) {
  auto file = Open(std::make_shared<ChunkSpace>(1 << 20));
  EXPECT_FALSE(file->Has(1));
  ASSERT_TRUE(file->Write(1, std::string(4999, 'a') + "b").ok());
  ASSERT_TRUE(file->Write(2, "seventh").ok());
  EXPECT_EQ(Text(*file, 1, 4998, 2), "ab");
  EXPECT_EQ(Text(*file, 2, 1, 3), "eve");
  EXPECT_EQ(Text(*file, 0, 0, 5), "");
  EXPECT_EQ(file->bytes(), 3 * 4096);
}

TEST_F(ChunkFileTest, LeavesNoNameBehind) {
  auto file = Open(std::make_shared<ChunkSpace>(1 << 20));
  ASSERT_TRUE(file->Write(0, "first").ok());
  EXPECT_TRUE(ListDir(temp_.path())->empty());
}

TEST_F(ChunkFileTest, GivesUpWhatWasNotReadForTheLongestTime) {
  auto space = std::make_shared<ChunkSpace>(3 * 4096);
  auto one = Open(space);
  auto other = Open(space);
  ASSERT_TRUE(one->Write(0, "first").ok());
  ASSERT_TRUE(one->Write(2, "seventh").ok());
  ASSERT_TRUE(other->Write(2, "another").ok());
  EXPECT_EQ(Text(*one, 0, 0, 5), "first");
  ASSERT_TRUE(other->Write(0, "fifth").ok());
  EXPECT_EQ(Text(*one, 2, 0, 7), "");
  EXPECT_EQ(Text(*one, 0, 0, 5), "first");
  EXPECT_EQ(Text(*other, 2, 0, 7), "another");
  EXPECT_EQ(one->bytes(), 4096);
  one.reset();
  ASSERT_TRUE(other->Write(1, std::string(5000, 'x')).ok());
  EXPECT_EQ(other->bytes(), 3 * 4096);
}

TEST_F(ChunkFileTest, WritesAgainWhatItGaveUp) {
  auto file = Open(std::make_shared<ChunkSpace>(2 * 4096));
  ASSERT_TRUE(file->Write(1, std::string(5000, 'x')).ok());
  ASSERT_TRUE(file->Write(0, "first").ok());
  EXPECT_FALSE(file->Has(1));
  ASSERT_TRUE(file->Write(1, std::string(5000, 'y')).ok());
  EXPECT_EQ(Text(*file, 1, 0, 3), "yyy");
}

}  // namespace
}  // namespace kiln::cache
