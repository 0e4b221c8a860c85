// File actions on temp folders; expectations follow the reference's file backend.
#include "worker/op/file/file_actions.h"

#include <fcntl.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/strings.h"
#include "llb/proto/ops.pb.h"
#include "worker/op/file/tree_copier.h"

namespace kiln {

static bool operator==(const Status& a, const Status& b) {
  return a.code() == b.code() && a.message() == b.message();
}

namespace worker {
namespace {

class FileActionsTest : public ::testing::Test {
 protected:
  FileActionsTest()
      : dir_(*MakeTempDir(::testing::TempDir(), "actions")),
        src_(JoinPath(dir_.path(), "src")),
        dst_(JoinPath(dir_.path(), "dst")) {
    EXPECT_TRUE(MakeDirs(src_).ok());
    EXPECT_TRUE(MakeDirs(dst_).ok());
  }

  void Write(const std::string& path, const std::string& text, mode_t mode = 0644) {
    std::string full = JoinPath(src_, path);
    EXPECT_TRUE(MakeDirs(DirName(full)).ok());
    EXPECT_TRUE(WriteFileAtomic(full, text, mode).ok());
  }
  Status Copy(const std::string& fields, LayerFolder* layer = nullptr) {
    pb::FileActionCopy action;
    action.set_mode(-1);
    action.set_timestamp(-1);
    EXPECT_TRUE(google::protobuf::TextFormat::MergeFromString(fields, &action)) << fields;
    return CopyAction(*RootedTree::Open(src_), *RootedTree::Open(dst_), action,
                      Owner{::geteuid(), ::getegid()}, {}, layer);
  }
  std::string Read(const std::string& path) {
    return ReadFile(JoinPath(dst_, path)).value_or("<missing>");
  }
  struct stat Stat(const std::string& path) {
    struct stat st = {};
    EXPECT_EQ(::lstat(JoinPath(dst_, path).c_str(), &st), 0) << path;
    return st;
  }
  bool Exists(const std::string& path) { return PathExists(JoinPath(dst_, path)); }

  TempDir dir_;
  std::string src_, dst_;
};

TEST_F(FileActionsTest, AFolderGoesIntoAFolderThatExists) {
  Write("a/f", "1");
  ASSERT_TRUE(MakeDirs(JoinPath(dst_, "d")).ok());
  ASSERT_EQ(Copy("src: '/a' dest: '/d'"), OkStatus());
  EXPECT_EQ(Read("d/a/f"), "1");
  ASSERT_EQ(Copy("src: '/a' dest: '/new' createDestPath: true"), OkStatus());
  EXPECT_EQ(Read("new/f"), "1");
}

TEST_F(FileActionsTest, ContentsOfAFolderGoWhereTheyAreSent) {
  Write("a/f", "1");
  ASSERT_EQ(Copy("src: '/a' dest: '/x/y' dirCopyContents: true createDestPath: true"), OkStatus());
  EXPECT_EQ(Read("x/y/f"), "1");
}

TEST_F(FileActionsTest, AFileGoesIntoAFolderNamedWithASlash) {
  Write("f", "1", 0640);
  ASSERT_EQ(Copy("src: '/f' dest: '/d/' createDestPath: true timestamp: 1500000000000000001"),
            OkStatus());
  EXPECT_EQ(Read("d/f"), "1");
  EXPECT_EQ(Stat("d/f").st_mode & 07777, 0640u);
  EXPECT_EQ(Stat("d/f").st_mtim.tv_nsec, 1);
  EXPECT_EQ(Stat("d").st_mtim.tv_sec, 1500000000);
}

TEST_F(FileActionsTest, MissingSourcesAndParentsAreNamed) {
  EXPECT_EQ(Copy("src: '/no' dest: '/x' createDestPath: true").message(),
            "lstat /no: no such file or directory");
  EXPECT_EQ(Copy("src: '/no*' dest: '/x' createDestPath: true allowWildcard: true").message(),
            "/no* not found");
  EXPECT_EQ(Copy("src: '/no*' dest: '/x' createDestPath: true allowWildcard: true "
                 "allowEmptyWildcard: true"),
            OkStatus());
}

TEST_F(FileActionsTest, LongNamesAreCopiedWhereWildcardsWouldBeAllowed) {
  Write("etc/distribution-release-of-this-image", "1");
  ASSERT_EQ(Copy("src: '/etc/distribution-release-of-this-image' dest: '/o/' "
                 "createDestPath: true allowWildcard: true"),
            OkStatus());
  EXPECT_EQ(Read("o/distribution-release-of-this-image"), "1");
}

TEST_F(FileActionsTest, WildcardsStopAtSlashes) {
  Write("a1", "1");
  Write("a2/f", "2");
  Write("b", "3");
  ASSERT_EQ(Copy("src: '/a*' dest: '/o/' createDestPath: true allowWildcard: true"), OkStatus());
  EXPECT_EQ(Read("o/a1"), "1");
  EXPECT_TRUE(Exists("o/a2"));
  EXPECT_FALSE(Exists("o/b"));
}

TEST_F(FileActionsTest, PatternsDecideWhatIsCopied) {
  Write("d/keep/x.go", "1");
  Write("d/drop/y.txt", "2");
  Write("d/z.go", "3");
  ASSERT_EQ(Copy("src: '/d' dest: '/o' dirCopyContents: true createDestPath: true "
                 "include_patterns: '**/*.go' exclude_patterns: 'z.go'"),
            OkStatus());
  EXPECT_EQ(Read("o/keep/x.go"), "1");
  EXPECT_FALSE(Exists("o/drop"));
  EXPECT_FALSE(Exists("o/z.go"));
}

TEST_F(FileActionsTest, LinksInTheTargetStayInside) {
  Write("f", "1");
  ASSERT_EQ(::symlink("/../../../../outside", JoinPath(dst_, "l").c_str()), 0);
  ASSERT_EQ(Copy("src: '/f' dest: '/l/f' createDestPath: true"), OkStatus());
  EXPECT_EQ(Read("outside/f"), "1");
}

TEST_F(FileActionsTest, HardLinksAndSymlinksAreKept) {
  Write("d/a", "1");
  ASSERT_EQ(::link(JoinPath(src_, "d/a").c_str(), JoinPath(src_, "d/b").c_str()), 0);
  ASSERT_EQ(::symlink("a", JoinPath(src_, "d/s").c_str()), 0);
  ASSERT_EQ(Copy("src: '/d' dest: '/o' createDestPath: true"), OkStatus());
  EXPECT_EQ(Stat("o/a").st_ino, Stat("o/b").st_ino);
  EXPECT_TRUE(S_ISLNK(Stat("o/s").st_mode));
}

TEST_F(FileActionsTest, LayersShareFilesOnlyIfNothingAboutThemDiffers) {
  Write("a/f", "1", 0640);
  Write("a/g", "2");
  auto same_file = [&](const std::string& from, const std::string& to) {
    struct stat st = {};
    EXPECT_EQ(::stat(JoinPath(src_, from).c_str(), &st), 0);
    return st.st_ino == Stat(to).st_ino;
  };
  LayerFolder layer{.plain = true, .share = true};
  ASSERT_EQ(Copy("src: '/a' dest: '/one' createDestPath: true", &layer), OkStatus());
  EXPECT_TRUE(same_file("a/f", "one/f"));
  EXPECT_TRUE(same_file("a/g", "one/g"));
  EXPECT_EQ(Stat("one/f").st_mode & 07777, 0640u);
  // Two copies in one layer are two files.
  ASSERT_EQ(Copy("src: '/a' dest: '/two' createDestPath: true", &layer), OkStatus());
  EXPECT_FALSE(same_file("a/f", "two/f"));
  EXPECT_EQ(Read("two/f"), "1");
  LayerFolder next{.plain = true, .share = true};
  ASSERT_EQ(Copy("src: '/a' dest: '/mode' createDestPath: true mode: 0644", &next), OkStatus());
  EXPECT_FALSE(same_file("a/f", "mode/f"));
  EXPECT_EQ(Stat("mode/f").st_mode & 07777, 0644u);
  EXPECT_TRUE(same_file("a/g", "mode/g"));
  ASSERT_EQ(Copy("src: '/a' dest: '/time' createDestPath: true timestamp: 5", &next), OkStatus());
  EXPECT_FALSE(same_file("a/f", "time/f"));
  LayerFolder alone{.plain = true};
  ASSERT_EQ(Copy("src: '/a' dest: '/alone' createDestPath: true", &alone), OkStatus());
  EXPECT_FALSE(same_file("a/f", "alone/f"));
  // The source's tree gets a new file; the layers keep the old one.
  Write("a/f", "changed");
  EXPECT_EQ(Read("one/f"), "1");
}

TEST_F(FileActionsTest, WhatIsMadeNewIsWrittenPastTheOverlay) {
  Write("a/b/f", "1");
  ASSERT_TRUE(MakeDirs(JoinPath(dst_, "old")).ok());
  // Stands for an overlay: the same folder under two descriptors.
  LayerFolder layer{.upper = *RootedTree::Open(dst_)};
  ASSERT_EQ(Copy("src: '/a' dest: '/old'", &layer), OkStatus());
  EXPECT_EQ(Read("old/a/b/f"), "1");
  ASSERT_EQ(Copy("src: '/a' dest: '/new/x' createDestPath: true", &layer), OkStatus());
  EXPECT_EQ(Read("new/x/b/f"), "1");
  // No place of the layer is taken for another one's.
  TempDir other(*MakeTempDir(::testing::TempDir(), "other"));
  LayerFolder wrong{.upper = *RootedTree::Open(other.path())};
  ASSERT_EQ(Copy("src: '/a' dest: '/third' createDestPath: true", &wrong), OkStatus());
  EXPECT_EQ(Read("third/b/f"), "1");
  EXPECT_TRUE(ListDir(other.path())->empty());
}

TEST_F(FileActionsTest, ModesAreSetAbsolutelyOrByClauses) {
  Write("d/f", "1", 0644);
  ASSERT_EQ(Copy("src: '/d/f' dest: '/m' mode: 2493"), OkStatus());  // 04675
  EXPECT_EQ(Stat("m").st_mode & 07777, 04675u);
  ASSERT_EQ(Copy("src: '/d' dest: '/t' createDestPath: true modeStr: 'u=rwX,go=u-w'"), OkStatus());
  EXPECT_EQ(Stat("t/f").st_mode & 07777, 0644u);
  EXPECT_EQ(Stat("t").st_mode & 07777, 0755u);
  EXPECT_EQ(Copy("src: '/d/f' dest: '/m' modeStr: 'u~w'").message(), "invalid syntax");
}

TEST_F(FileActionsTest, FilesAndFoldersReplaceEachOtherOnlyOnRequest) {
  Write("f", "1");
  ASSERT_TRUE(MakeDirs(JoinPath(dst_, "d/f/sub")).ok());
  EXPECT_EQ(Copy("src: '/f' dest: '/d'").message(),
            "cannot replace to directory /d/f with file");
  ASSERT_EQ(Copy("src: '/f' dest: '/d' alwaysReplaceExistingDestPaths: true"), OkStatus());
  EXPECT_EQ(Read("d/f"), "1");
}

TEST_F(FileActionsTest, ArchivesAreUnpackedAndStayInTheirFolder) {
  Write("t/in/x", "1");
  ProcessOptions tar;
  tar.argv = {"tar", "-C", JoinPath(src_, "t"), "-czPf", JoinPath(src_, "a.tgz"),
              "--transform", "s,in/x,../../../up,", "in"};
  tar.env = {"PATH=/usr/bin:/bin"};
  ASSERT_EQ(RunCommand(tar, {}, {})->exit_code, 0);
  ASSERT_EQ(Copy("src: '/a.tgz' dest: '/o/' createDestPath: true "
                 "attemptUnpackDockerCompatibility: true"),
            OkStatus());
  EXPECT_EQ(Read("o/up"), "1");
  EXPECT_TRUE(Exists("o/in"));
  Write("plain.tgz", "no archive");
  ASSERT_EQ(Copy("src: '/plain.tgz' dest: '/p' attemptUnpackDockerCompatibility: true"),
            OkStatus());
  EXPECT_EQ(Read("p"), "no archive");
}

TEST_F(FileActionsTest, FoldersFilesAndLinksAreMadeAndRemoved) {
  StatusOr<RootedTree> tree = RootedTree::Open(dst_);
  ASSERT_TRUE(tree.ok());
  pb::FileActionMkDir mkdir;
  mkdir.set_path("/a/b");
  mkdir.set_mode(0750);
  mkdir.set_timestamp(-1);
  EXPECT_EQ(MakeDirAction(*tree, mkdir, {}).message(), "mkdir /a/b: no such file or directory");
  mkdir.set_makeparents(true);
  ASSERT_EQ(MakeDirAction(*tree, mkdir, {}), OkStatus());
  EXPECT_EQ(Stat("a/b").st_mode & 07777, 0750u);

  pb::FileActionMkFile mkfile;
  mkfile.set_path("/a/f");
  mkfile.set_mode(0600);
  mkfile.set_data("hi");
  mkfile.set_timestamp(1'000'000'000);
  ASSERT_EQ(MakeFileAction(*tree, mkfile, {}), OkStatus());
  EXPECT_EQ(Read("a/f"), "hi");
  EXPECT_EQ(Stat("a/f").st_mtim.tv_sec, 1);
  mkdir.set_path("/a/f");
  EXPECT_EQ(MakeDirAction(*tree, mkdir, {}).message(), "mkdir /a/f: not a directory");

  pb::FileActionSymlink symlink;
  symlink.set_oldpath("f");
  symlink.set_newpath("/a/l");
  symlink.set_timestamp(-1);
  ASSERT_EQ(SymlinkAction(*tree, symlink, {}), OkStatus());

  pb::FileActionRm rm;
  rm.set_path("/a/none");
  EXPECT_EQ(RemoveAction(*tree, rm).message(), "stat /a/none: no such file or directory");
  rm.set_path("/a/../..");
  EXPECT_EQ(RemoveAction(*tree, rm).message(), "rmPath: invalid empty path");
  rm.set_path("/a/l");
  ASSERT_EQ(RemoveAction(*tree, rm), OkStatus());
  EXPECT_TRUE(Exists("a/f"));
  rm.set_path("/a/*");
  rm.set_allowwildcard(true);
  ASSERT_EQ(RemoveAction(*tree, rm), OkStatus());
  EXPECT_FALSE(Exists("a/b"));
}

TEST_F(FileActionsTest, OwnersAreLookedUpInTheTree) {
  Write("etc/passwd", "u:x:5:6::/:\n");
  Write("etc/group", "g:x:9:\n");
  StatusOr<RootedTree> tree = RootedTree::Open(src_);
  pb::ChownOpt owner;
  owner.mutable_user()->mutable_byname()->set_name("u");
  StatusOr<std::optional<Owner>> found = ResolveOwner(&owner, &*tree, nullptr);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ((*found)->uid, 5u);
  EXPECT_EQ((*found)->gid, 6u);
  owner.mutable_group()->mutable_byname()->set_name("g");
  EXPECT_EQ((*ResolveOwner(&owner, &*tree, &*tree))->gid, 9u);
  owner.mutable_user()->mutable_byname()->set_name("nobody");
  EXPECT_EQ((*ResolveOwner(&owner, &*tree, &*tree))->uid, 0u);
  EXPECT_FALSE(ResolveOwner(&owner, nullptr, &*tree).ok());
}

}  // namespace
}  // namespace worker
}  // namespace kiln
