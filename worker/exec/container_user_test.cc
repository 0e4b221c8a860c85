#include "worker/exec/container_user.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::worker::exec {
namespace {

class FindUserTest : public ::testing::Test {
 protected:
  FindUserTest() : dir_(*MakeTempDir(::testing::TempDir(), "user")) {
    EXPECT_TRUE(MakeDirs(JoinPath(dir_.path(), "etc")).ok());
  }
  void Write(const std::string& name, const std::string& text) {
    EXPECT_TRUE(WriteFileAtomic(JoinPath(dir_.path(), name), text).ok());
  }
  StatusOr<ContainerUser> Find(const std::string& user) {
    StatusOr<RootedTree> tree = RootedTree::Open(dir_.path());
    EXPECT_TRUE(tree.ok());
    return FindUser(*tree, user);
  }
  std::string Error(const std::string& user) { return Find(user).status().message(); }
  TempDir dir_;
};

TEST_F(FindUserTest, NamesAndNumbersAreLookedUp) {
  Write("etc/passwd", "root:x:0:0::/root:/bin/sh\nbuilder:x:1000:1001::/:/bin/sh\n");
  Write("etc/group", "# c\nroot:x:0:root\nwheel:x:10:root,builder\ndev:x:20:builder\n");
  StatusOr<ContainerUser> user = Find("builder");
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->uid, 1000u);
  EXPECT_EQ(user->gid, 1001u);
  EXPECT_EQ(user->additional_gids, (std::vector<uint32_t>{10, 20}));
  user = Find("1000");
  EXPECT_EQ(user->gid, 1001u);
  EXPECT_EQ(user->additional_gids, (std::vector<uint32_t>{10, 20}));
  user = Find("builder:dev");
  EXPECT_EQ(user->gid, 20u);
  EXPECT_TRUE(user->additional_gids.empty());
  user = Find("");
  EXPECT_EQ(user->uid, 0u);
  EXPECT_EQ(user->additional_gids, (std::vector<uint32_t>{0, 10}));
}

TEST_F(FindUserTest, PlainPairsNeedNoFiles) {
  StatusOr<ContainerUser> user = Find("4000000000:root");
  ASSERT_TRUE(user.ok());
  EXPECT_EQ(user->uid, 4000000000u);
  EXPECT_EQ(user->gid, 0u);
}

TEST_F(FindUserTest, ErrorsAreTheReferences) {
  EXPECT_EQ(Error("nobody"), "unable to find user nobody: no matching entries in passwd file");
  EXPECT_EQ(Error("1:nogroup"), "unable to find group nogroup: no matching entries in group file");
  EXPECT_EQ(Error("4294967296"), "uids and gids must be in range 0-2147483647");
}

TEST_F(FindUserTest, LinksStayInTheTree) {
  ASSERT_EQ(::symlink("/elsewhere", JoinPath(dir_.path(), "etc/passwd").c_str()), 0);
  Write("elsewhere", "me:x:7:8::/:\n");
  StatusOr<ContainerUser> user = Find("me");
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->uid, 7u);
}

TEST_F(FindUserTest, AFileThatIsTooLargeIsRefused) {
  Write("etc/passwd", std::string((10 << 20) + 2, 'x'));
  EXPECT_EQ(Error("me"),
            "unable to find user me: \"/etc/passwd\" exceeds 10485760 bytes");
  EXPECT_TRUE(Find("").ok());
}

}  // namespace
}  // namespace kiln::worker::exec
