#include "worker/proxy/trust_bundle.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"

namespace kiln::worker::proxy {
namespace {

const std::string kPem =
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
constexpr const char* kDebian = "etc/ssl/certs/ca-certificates.crt";

class TrustBundleTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = *MakeTempDir("/tmp", "bundle-");
    remove_.emplace(root_);
  }
  std::string Path(std::string_view name) { return JoinPath(root_, name); }
  void Write(std::string_view name, std::string_view text) {
    ASSERT_TRUE(MakeDirs(DirName(Path(name))).ok());
    ASSERT_TRUE(WriteFileAtomic(Path(name), text).ok());
  }
  std::string Read(std::string_view name) { return ReadFile(Path(name)).value_or("?"); }
  std::unique_ptr<TrustBundle> Add() {
    StatusOr<RootedTree> tree = RootedTree::Open(root_);
    EXPECT_TRUE(tree.ok());
    auto added = TrustBundle::Add(*tree, kPem);
    EXPECT_TRUE(added.ok()) << added.status().message();
    return added.ok() ? *std::move(added) : nullptr;
  }

  std::string root_;
  std::optional<TempDir> remove_;
};

TEST_F(TrustBundleTest, IsAddedAndGoesWithoutATrace) {
  Write(kDebian, "original\n");
  ASSERT_EQ(::chmod(Path(kDebian).c_str(), 0640), 0);
  const timespec times[] = {{1000000, 5}, {2000000, 7}};
  ASSERT_EQ(::utimensat(AT_FDCWD, Path(kDebian).c_str(), times, 0), 0);
  auto added = Add();
  ASSERT_NE(added, nullptr);
  EXPECT_EQ(Read(kDebian), "original\n\n# buildkit proxy CA begin\n" + kPem +
                               "# buildkit proxy CA end\n");
  added.reset();
  EXPECT_EQ(Read(kDebian), "original\n");
  struct stat st = {};
  ASSERT_EQ(::stat(Path(kDebian).c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0640U);
  EXPECT_EQ(st.st_mtim.tv_sec, 2000000);
  EXPECT_EQ(st.st_mtim.tv_nsec, 7);
  EXPECT_EQ(ListDir(Path("etc/ssl/certs"))->size(), 1U);
}

// As the reference's TestInjectProxyCACleanupPreservesContainerChanges.
TEST_F(TrustBundleTest, WhatTheStepChangedStays) {
  Write(kDebian, "original\n");
  auto added = Add();
  Write(kDebian, Read(kDebian) + "container change\n");
  added.reset();
  EXPECT_EQ(Read(kDebian), "original\ncontainer change\n");
}

TEST_F(TrustBundleTest, TheCertificateIsFoundWithoutItsMarks) {
  Write(kDebian, "original\n");
  auto added = Add();
  Write(kDebian, "rewritten\n" + kPem + "end\n");
  added.reset();
  EXPECT_EQ(Read(kDebian), "rewritten\nend\n");
}

TEST_F(TrustBundleTest, BundlesThatAreGoneOrReplacedByLinksAreLeftAlone) {
  Write(kDebian, "original\n");
  Write("elsewhere", kPem);
  auto added = Add();
  ASSERT_EQ(::unlink(Path(kDebian).c_str()), 0);
  ASSERT_EQ(::symlink("../../../elsewhere", Path(kDebian).c_str()), 0);
  added.reset();
  EXPECT_EQ(Read("elsewhere"), kPem);
  Write("etc/ssl/cert.pem", "x\n");
  ASSERT_EQ(::unlink(Path(kDebian).c_str()), 0);
  added = Add();
  ASSERT_NE(added, nullptr);
  ASSERT_EQ(::unlink(Path("etc/ssl/cert.pem").c_str()), 0);
  added.reset();
  EXPECT_FALSE(PathExists(Path("etc/ssl/cert.pem")));
}

TEST_F(TrustBundleTest, LinksStayInTheTree) {
  Write("usr/bundle.pem", "linked");
  ASSERT_TRUE(MakeDirs(Path("etc/ssl/certs")).ok());
  ASSERT_EQ(::symlink("/usr/bundle.pem", Path(kDebian).c_str()), 0);
  auto added = Add();
  ASSERT_NE(added, nullptr);
  EXPECT_EQ(Read("usr/bundle.pem").substr(0, 8), "linked\n\n");
  added.reset();
  EXPECT_EQ(Read("usr/bundle.pem"), "linked");
}

TEST_F(TrustBundleTest, TreesWithoutABundleOrThatKnowTheCertificateStayAsTheyAre) {
  EXPECT_EQ(Add(), nullptr);
  Write(kDebian, kPem);
  EXPECT_EQ(Add(), nullptr);
  EXPECT_EQ(Read(kDebian), kPem);
}

TEST_F(TrustBundleTest, HugeBundlesAreRefused) {
  Write(kDebian, std::string((10 << 20) + 1, 'x'));
  StatusOr<RootedTree> tree = RootedTree::Open(root_);
  ASSERT_TRUE(tree.ok());
  auto added = TrustBundle::Add(*tree, kPem);
  EXPECT_EQ(added.status().message(),
            "/etc/ssl/certs/ca-certificates.crt exceeds 10485760 bytes");
}

}  // namespace
}  // namespace kiln::worker::proxy
