// Tests of settling an upper folder. No mounts, but as root: whiteouts are devices.
#include "cache/snapshot/upper_dir.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rooted.h"
#include "cache/snapshot/tree_copy.h"

namespace kiln::cache {
namespace {

class UpperDir : public testing::Test {
 protected:
  void SetUp() override {
    std::string probe = Dir("probe");
    if (::mknod((probe + "/w").c_str(), S_IFCHR, 0) != 0 ||
        ::setxattr(probe.c_str(), "trusted.overlay.opaque", "y", 1, 0) != 0) {
      GTEST_SKIP() << "needs the right to make whiteouts";
    }
  }
  std::string Dir(const std::string& name) {
    std::string path = temp_.path() + "/" + name;
    KILN_CHECK(MakeDirs(path).ok());
    return path;
  }
  void Write(const std::string& name, std::string_view text = "x") {
    std::string path = temp_.path() + "/" + name;
    KILN_CHECK(MakeDirs(DirName(path)).ok());
    KILN_CHECK(WriteFileAtomic(path, text).ok());
  }
  void Opaque(const std::string& name) {
    KILN_CHECK(::setxattr(Dir(name).c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0);
  }
  bool IsMarked(const std::string& name) {
    return ::getxattr((temp_.path() + "/" + name).c_str(), "trusted.overlay.opaque", nullptr, 0) >=
           0;
  }
  // Names in walk order, whiteouts with "!".
  std::string Describe(const std::string& name) {
    std::string out;
    UniqueFd fd(::open((temp_.path() + "/" + name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    KILN_CHECK(WalkTree(fd.get(), [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
      out += entry.path + (IsWhiteout(*entry.st) ? "! " : " ");
      return WalkStep::kContinue;
    }).ok());
    return out;
  }
  Status Settle() {
    std::vector<std::string> lowers = {Dir("near"), Dir("far")};
    return SettleUpper(Dir("up"), lowers).status();
  }
  TempDir temp_{std::move(MakeTempDir("/tmp", "upper-")).value()};
};

TEST_F(UpperDir, AMarkOverNothingGoes) {
  Write("up/new/f");
  Opaque("up/new");
  ASSERT_TRUE(Settle().ok());
  EXPECT_FALSE(IsMarked("up/new"));
  EXPECT_EQ(Describe("up"), "new new/f ");
}

TEST_F(UpperDir, WhatAMarkHidIsHiddenByName) {
  Write("far/d/a");
  Write("far/d/gone");
  Write("near/d/b");
  ASSERT_EQ(::mknod((temp_.path() + "/near/d/gone").c_str(), S_IFCHR, 0), 0);
  Write("up/d/b", "new");
  Write("up/d/c");
  Opaque("up/d");
  timespec times[2] = {{1, 0}, {1000, 5}};
  std::string d = temp_.path() + "/up/d";
  ASSERT_EQ(::utimensat(AT_FDCWD, d.c_str(), times, 0), 0);
  ASSERT_TRUE(Settle().ok());
  EXPECT_FALSE(IsMarked("up/d"));
  EXPECT_EQ(Describe("up"), "d d/a! d/b d/c ");
  struct stat st{};
  ASSERT_EQ(::stat(d.c_str(), &st), 0);
  EXPECT_EQ(st.st_mtim.tv_sec, 1000);
  EXPECT_EQ(st.st_mtim.tv_nsec, 5);
}

TEST_F(UpperDir, FoldersInAReplacedFolderAreReplacedToo) {
  Write("far/d/sub/old");
  Write("far/d/file/x");
  Write("up/d/sub/new");
  Write("up/d/file");
  Opaque("up/d");
  ASSERT_TRUE(Settle().ok());
  EXPECT_EQ(Describe("up"), "d d/file d/sub d/sub/new d/sub/old! ");
}

TEST_F(UpperDir, WhatWasCopiedUpAndIsUnchangedGoes) {
  Write("far/etc/same");
  Write("far/etc/text");
  Write("far/dir/keep");
  Write("near/linked");
  auto copy_up = [&](const std::string& from, const std::string& name) {
    Write("up/" + name);
    std::string source = temp_.path() + "/" + from + "/" + name;
    std::string target = temp_.path() + "/up/" + name;
    struct stat st{};
    ASSERT_EQ(::stat(source.c_str(), &st), 0);
    ASSERT_EQ(::chmod(target.c_str(), st.st_mode), 0);
    timespec times[2] = {st.st_atim, st.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, target.c_str(), times, 0), 0);
  };
  copy_up("far", "etc/same");
  copy_up("far", "etc/text");
  copy_up("near", "linked");
  ASSERT_EQ(::link((temp_.path() + "/up/linked").c_str(), (temp_.path() + "/up/new").c_str()), 0);
  Dir("up/dir");
  ASSERT_EQ(::chmod((temp_.path() + "/up/dir").c_str(), 0700), 0);
  timespec times[2] = {{1, 0}, {1000, 5}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (temp_.path() + "/up/etc/text").c_str(), times, 0), 0);
  ASSERT_EQ(::utimensat(AT_FDCWD, (temp_.path() + "/up").c_str(), times, 0), 0);
  ASSERT_TRUE(Settle().ok());
  EXPECT_EQ(Describe("up"), "dir etc etc/text linked new ");
  ASSERT_EQ(::unlink((temp_.path() + "/up/etc/text").c_str()), 0);
  ASSERT_TRUE(Settle().ok());
  EXPECT_EQ(Describe("up"), "dir linked new ");
}

TEST_F(UpperDir, AFolderThatWasGivenATimeStays) {
  Write("far/dated/x");
  Write("far/seen/x");
  Dir("up/dated");
  Dir("up/seen");  // has the time of its making, as if names had come and gone
  timespec times[2] = {{1, 0}, {1234567890, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (temp_.path() + "/up/dated").c_str(), times, 0), 0);
  ASSERT_TRUE(Settle().ok());
  EXPECT_EQ(Describe("up"), "dated ");
}

TEST_F(UpperDir, LayersBelowAnOpaqueOneDoNotCount) {
  Write("far/d/old");
  Write("near/d/mid");
  Opaque("near/d");
  Write("up/d/new");
  Opaque("up/d");
  ASSERT_TRUE(Settle().ok());
  EXPECT_EQ(Describe("up"), "d d/mid! d/new ");
}

}  // namespace
}  // namespace kiln::cache
