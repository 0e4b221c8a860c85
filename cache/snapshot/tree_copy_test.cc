// Tests of copying, applying and comparing trees. No mounts are needed.
#include "cache/snapshot/tree_copy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rooted.h"

namespace kiln::cache {
namespace {

class Trees : public testing::Test {
 protected:
  std::string Dir(const std::string& name) {
    std::string path = temp_.path() + "/" + name;
    KILN_CHECK(MakeDirs(path).ok());
    return path;
  }
  static void Write(const std::string& path, std::string_view text) {
    KILN_CHECK(MakeDirs(DirName(path)).ok());
    KILN_CHECK(WriteFileAtomic(path, text).ok());
  }
  // "path" or "path=text" or "path!" for a whiteout, in walk order.
  static std::string Describe(const std::string& root) {
    std::string out;
    UniqueFd fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    KILN_CHECK(WalkTree(fd.get(), [&](const WalkEntry& entry) -> StatusOr<WalkStep> {
      out += entry.path;
      if (IsWhiteout(*entry.st)) out += "!";
      if (S_ISREG(entry.st->st_mode)) out += "=" + ReadFile(root + "/" + entry.path).value_or("?");
      out += " ";
      return WalkStep::kContinue;
    }).ok());
    return out;
  }
  TempDir temp_{std::move(MakeTempDir("/tmp", "trees-")).value()};
};

TEST_F(Trees, CopyKeepsLinksTimesAndModes) {
  std::string a = Dir("a");
  Write(a + "/d/f", "text");
  ASSERT_EQ(::link((a + "/d/f").c_str(), (a + "/hard").c_str()), 0);
  ASSERT_EQ(::symlink("../nowhere", (a + "/d/soft").c_str()), 0);
  ASSERT_EQ(::chmod((a + "/d").c_str(), 0750), 0);
  timespec times[2] = {{1, 0}, {1000, 5}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (a + "/d").c_str(), times, 0), 0);
  std::string b = Dir("b");
  ASSERT_TRUE(CopyTree(a, b).ok());
  EXPECT_EQ(Describe(b), Describe(a));
  struct stat f{}, hard{}, d{};
  ASSERT_EQ(::lstat((b + "/d/f").c_str(), &f), 0);
  ASSERT_EQ(::lstat((b + "/hard").c_str(), &hard), 0);
  ASSERT_EQ(::lstat((b + "/d").c_str(), &d), 0);
  EXPECT_EQ(f.st_ino, hard.st_ino);
  EXPECT_EQ(d.st_mode & 07777U, 0750U);
  EXPECT_EQ(d.st_mtim.tv_sec, 1000);
  EXPECT_EQ(d.st_mtim.tv_nsec, 5);
}

TEST_F(Trees, DiffHoldsOnlyWhatChangedAndApplyingItGivesTheUpperTree) {
  std::string lower = Dir("lower");
  Write(lower + "/keep/same", "1");
  Write(lower + "/keep/changed", "old");
  Write(lower + "/gone/deep/f", "x");
  Write(lower + "/was-file", "x");
  Write(lower + "/was-dir/f", "x");
  std::string upper = Dir("upper");
  ASSERT_TRUE(CopyTree(lower, upper).ok());
  Write(upper + "/keep/changed", "new");
  ASSERT_TRUE(RemoveAll(upper + "/gone").ok());
  ASSERT_TRUE(RemoveAll(upper + "/was-file").ok());
  Write(upper + "/was-file/inside", "y");
  ASSERT_TRUE(RemoveAll(upper + "/was-dir").ok());
  Write(upper + "/was-dir", "now a file");
  Write(upper + "/new/f", "n");
  std::string diff = Dir("diff");
  ASSERT_TRUE(DiffTrees(lower, upper, diff).ok());
  EXPECT_EQ(Describe(diff), "gone! keep keep/changed=new new new/f=n was-dir=now a file "
                            "was-file was-file/inside=y ");
  ASSERT_TRUE(ApplyChanges(diff, lower).ok());
  EXPECT_EQ(Describe(lower), Describe(upper));
}

TEST_F(Trees, DiffOfEqualTreesIsEmpty) {
  std::string lower = Dir("lower");
  Write(lower + "/d/f", "1");
  std::string upper = Dir("upper");
  ASSERT_TRUE(CopyTree(lower, upper).ok());
  std::string diff = Dir("diff");
  ASSERT_TRUE(DiffTrees(lower, upper, diff).ok());
  EXPECT_EQ(Describe(diff), "");
}

TEST_F(Trees, DiffAgainstNothingIsTheWholeTree) {
  std::string upper = Dir("upper");
  Write(upper + "/d/f", "1");
  std::string diff = Dir("diff");
  ASSERT_TRUE(DiffTrees("", upper, diff).ok());
  EXPECT_EQ(Describe(diff), "d d/f=1 ");
}

}  // namespace
}  // namespace kiln::cache
