// Reading results for frontends; error texts are the reference's.
#include "control/file_reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"

namespace kiln::control {
namespace {

class FileReaderTest : public testing::Test {
 protected:
  FileReaderTest() : dir_(*MakeTempDir(testing::TempDir(), "reader")) {
    EXPECT_TRUE(WriteFileAtomic(dir_.path() + "/Dockerfile", "FROM scratch\n").ok());
    EXPECT_TRUE(MakeDirs(dir_.path() + "/sub").ok());
    EXPECT_TRUE(WriteFileAtomic(dir_.path() + "/sub/x", "x").ok());
    EXPECT_EQ(symlink("/../../etc/passwd", (dir_.path() + "/out").c_str()), 0);
    EXPECT_EQ(symlink("Dockerfile", (dir_.path() + "/link").c_str()), 0);
  }
  kiln::TempDir dir_;
};

TEST_F(FileReaderTest, ReadsARangeOfAFile) {
  auto bytes = ReadFileIn(dir_.path(), "Dockerfile", {.offset = 5, .length = 7});

  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(*bytes, "scratch");
}

TEST_F(FileReaderTest, AMissingFileIsNamedAsAskedFor) {
  auto bytes = ReadFileIn(dir_.path(), "nowhere", {});

  EXPECT_EQ(bytes.status().message(), "open nowhere: no such file or directory");
  EXPECT_TRUE(IsNotFound(bytes.status()));
}

TEST_F(FileReaderTest, ALinkDoesNotLeadOutOfTheTree) {
  EXPECT_FALSE(ReadFileIn(dir_.path(), "out", {}).ok());
}

TEST_F(FileReaderTest, AFolderIsNoFile) {
  EXPECT_EQ(ReadFileIn(dir_.path(), "sub", {}).status().message(), "sub is not a regular file");
}

TEST_F(FileReaderTest, ListsOneFolderInOrderWithoutGoingDeeper) {
  auto entries = ReadDirIn(dir_.path(), "/", "");

  ASSERT_TRUE(entries.ok()) << entries.status();
  std::vector<std::string> names;
  for (const auto& entry : *entries) names.push_back(entry.path);
  EXPECT_EQ(names, (std::vector<std::string>{"Dockerfile", "link", "out", "sub"}));
  EXPECT_EQ((*entries)[1].link_name, "Dockerfile");
  EXPECT_TRUE((*entries)[3].mode & (1u << 31));
}

TEST_F(FileReaderTest, StatFollowsLinksInsideTheTree) {
  auto stat = StatFileIn(dir_.path(), "link");

  ASSERT_TRUE(stat.ok()) << stat.status();
  EXPECT_EQ(stat->path, "Dockerfile");
  EXPECT_EQ(stat->size, 13);
}

}  // namespace
}  // namespace kiln::control
