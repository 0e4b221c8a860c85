// Tests of resolution inside a tree, walking and removing.
#include "base/rooted.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/file.h"

namespace kiln {
namespace {

class Rooted : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(MakeDirs(root() + "/a/b").ok());
    ASSERT_TRUE(WriteFileAtomic(root() + "/a/b/f", "inside").ok());
    ASSERT_TRUE(WriteFileAtomic(temp_.path() + "/secret", "outside").ok());
    ASSERT_EQ(::symlink("/a/b", (root() + "/abs").c_str()), 0);
    ASSERT_EQ(::symlink("../../../../secret", (root() + "/up").c_str()), 0);
    ASSERT_EQ(::symlink("loop", (root() + "/loop").c_str()), 0);
  }
  std::string root() const { return temp_.path() + "/root"; }
  RootedTree tree() { return std::move(RootedTree::Open(root())).value(); }
  TempDir temp_{std::move(MakeTempDir("/tmp", "rooted-")).value()};
};

TEST_F(Rooted, AbsoluteLinksStartAtTheRootOfTheTree) {
  EXPECT_EQ(tree().ReadFile("abs/f").value_or("?"), "inside");
  EXPECT_EQ(tree().ReadFile("/a/../../../abs/f").value_or("?"), "inside");
}

TEST_F(Rooted, LinksNeverLeadOutside) {
  EXPECT_TRUE(IsNotFound(tree().ReadFile("up").status()));
  EXPECT_TRUE(IsNotFound(tree().ReadFile("../secret").status()));
  ASSERT_TRUE(tree().MakeDirs("up/x").ok());
  EXPECT_TRUE(PathExists(root() + "/secret/x"));
  EXPECT_EQ(ReadFile(temp_.path() + "/secret").value_or("?"), "outside");
}

TEST_F(Rooted, ResolveKeepsThePartThatIsMissing) {
  EXPECT_EQ(tree().Resolve("abs/new/x").value_or("?"), "/a/b/new/x");
  EXPECT_EQ(tree().Resolve("up").value_or("?"), "/secret");
  EXPECT_EQ(tree().Resolve("").value_or("?"), "/");
  EXPECT_FALSE(tree().Resolve("abs/new", false).ok());
  EXPECT_FALSE(tree().Resolve("loop").ok());
}

TEST_F(Rooted, MakeDirsTellsWhatItMadeAndFollowsLinks) {
  std::vector<std::string> made;
  ASSERT_TRUE(tree().MakeDirs("abs/c/d", 0700, [&](int, const std::string& path) {
    made.push_back(path);
    return OkStatus();
  }).ok());
  EXPECT_EQ(made, (std::vector<std::string>{"/a/b/c", "/a/b/c/d"}));
}

TEST_F(Rooted, WalkIsParentsFirstInByteOrder) {
  std::vector<std::string> seen;
  RootedTree opened = tree();
  ASSERT_TRUE(WalkTree(opened.fd(), [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
    seen.push_back(entry.path);
    return WalkStep::kContinue;
  }).ok());
  EXPECT_EQ(seen, (std::vector<std::string>{"a", "a/b", "a/b/f", "abs", "loop", "up"}));
}

TEST_F(Rooted, RemoveTakesTheLinkAndNotItsTarget) {
  ASSERT_TRUE(tree().RemoveAll("abs").ok());
  EXPECT_TRUE(PathExists(root() + "/a/b/f"));
  ASSERT_TRUE(tree().RemoveAll("/a").ok());
  EXPECT_FALSE(PathExists(root() + "/a"));
  EXPECT_TRUE(tree().RemoveAll("/a").ok());
}

}  // namespace
}  // namespace kiln
