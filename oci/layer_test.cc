// Layers on disk: applying archives, hostile ones too, and writing changes.
#include "oci/layer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "oci/tar.h"

namespace kiln::oci {
namespace {

namespace fs = std::filesystem;

struct Entry {
  char type = '0';
  std::string name;
  std::string data = {};  // content, or link target
  int64_t mode = 0644;
  int64_t mtime = 1000;
};

std::string Archive(const std::vector<Entry>& entries) {
  std::string out;
  TarWriter writer(AppendTo(out));
  for (const Entry& entry : entries) {
    TarHeader header;
    header.type = entry.type;
    header.name = entry.name;
    header.mode = entry.mode;
    header.uid = ::getuid();
    header.gid = ::getgid();
    header.mtime.seconds = entry.mtime;
    header.format = TarHeader::Format::kPax;
    bool link = entry.type == '1' || entry.type == '2';
    if (link) {
      header.link_name = entry.data;
    } else {
      header.size = static_cast<int64_t>(entry.data.size());
    }
    EXPECT_TRUE(writer.WriteHeader(header).ok());
    if (!link) {
      EXPECT_TRUE(writer.Write(entry.data).ok());
    }
  }
  EXPECT_TRUE(writer.Close().ok());
  return out;
}

std::vector<std::string> NamesIn(const std::string& archive) {
  std::vector<std::string> names;
  TarReader reader(ReadFrom(archive));
  for (;;) {
    auto header = reader.Next();
    EXPECT_TRUE(header.ok()) << header.status();
    if (!header.ok() || !*header) return names;
    names.push_back((*header)->type == '1'
                        ? StrCat((*header)->name, " => ", (*header)->link_name)
                        : (*header)->name);
  }
}

class LayerTest : public testing::Test {
 protected:
  LayerTest() : dir_(MakeTempDir(testing::TempDir(), "layer").value_or("")) {}
  std::string Path(std::string_view name) const { return JoinPath(dir_.path(), name); }
  std::string Make(std::string_view name) const {
    EXPECT_TRUE(MakeDirs(Path(name)).ok());
    return Path(name);
  }
  void Write(std::string_view name, std::string_view text) const {
    EXPECT_TRUE(MakeDirs(DirName(Path(name))).ok());
    EXPECT_TRUE(WriteFileAtomic(Path(name), text).ok());
  }
  Status Apply(const std::string& archive, std::string_view to, ApplyOptions options = {}) const {
    options.user_xattr = true;
    auto applied = ApplyLayer(ReadFrom(archive), Make(to), options);
    if (applied.ok()) {
      EXPECT_EQ(applied->diff_id.digest, Digest::Of(archive));
    }
    return applied.ok() ? OkStatus() : applied.status();
  }
  std::string Read(std::string_view name) const { return ReadFile(Path(name)).value_or("<none>"); }

  TempDir dir_;
};

TEST_F(LayerTest, AppliesFilesFoldersAndLinks) {
  std::string archive = Archive({{'5', "d/", "", 0710, 77},
                                 {'0', "d/f", "text", 04755, 1234},
                                 {'2', "d/s", "../../../etc/passwd"},
                                 {'1', "h", "d/f"},
                                 {'0', "implicit/x", "y"}});
  ASSERT_TRUE(Apply(archive, "t").ok());
  struct stat st{};
  ASSERT_EQ(::lstat(Path("t/d/f").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0644u);  // the link came later and carries its own mode
  EXPECT_EQ(st.st_nlink, 2u);
  ASSERT_EQ(::lstat(Path("t/d").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0710u);
  EXPECT_EQ(st.st_mtim.tv_sec, 77);
  EXPECT_EQ(fs::read_symlink(Path("t/d/s")), "../../../etc/passwd");
  EXPECT_EQ(Read("t/implicit/x"), "y");
}

TEST_F(LayerTest, NeverLeavesTheFolder) {
  Write("outside/keep", "safe");
  std::string out = Path("outside");
  std::string archive = Archive({{'0', "../../up", "1"},
                                 {'0', "/abs", "2"},
                                 {'2', "esc", out},
                                 {'0', "esc/keep", "overwritten"},
                                 {'2', "rel", "../outside"},
                                 {'0', "rel/keep", "overwritten"},
                                 {'0', "rel/.wh.keep", ""},
                                 {'0', "a/../../b", "3"}});
  ASSERT_TRUE(Apply(archive, "t").ok());
  EXPECT_EQ(Read("outside/keep"), "safe");
  EXPECT_EQ(Read("t/up"), "1");
  EXPECT_EQ(Read("t/abs"), "2");
  EXPECT_EQ(Read("t/b"), "3");
  EXPECT_FALSE(PathExists(Path("b")));
  Status status = Apply(Archive({{'2', "l", "../outside"}, {'1', "stolen", "l/keep"}}), "u");
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(PathExists(Path("u/stolen")));
  EXPECT_FALSE(Apply(Archive({{'1', "stolen", "../outside/keep"}}), "v").ok());
  EXPECT_FALSE(Apply(Archive({{'0', ".wh...", ""}}), "w").ok());
}

TEST_F(LayerTest, WritesThroughALinkOnlyIntoTheTree) {
  ASSERT_TRUE(Apply(Archive({{'2', "f", "/outside"}, {'0', "f", "new"}}), "t").ok());
  EXPECT_EQ(Read("t/f"), "new");
  EXPECT_FALSE(fs::is_symlink(Path("t/f")));
}

TEST_F(LayerTest, RemovesForPlainSnapshots) {
  Write("t/gone", "1");
  Write("t/d/old", "1");
  Write("t/d/kept/new", "1");
  Write("t/tree/a/b", "1");
  ApplyOptions options;
  options.whiteouts = ApplyOptions::Whiteouts::kRemove;
  std::string archive = Archive({{'0', ".wh.gone"},
                                 {'5', "d/"},
                                 {'0', "d/fresh", "2"},
                                 {'0', "d/.wh..wh..opq"},
                                 {'0', ".wh.tree"}});
  ASSERT_TRUE(Apply(archive, "t", options).ok());
  EXPECT_FALSE(PathExists(Path("t/gone")));
  EXPECT_FALSE(PathExists(Path("t/d/old")));
  EXPECT_FALSE(PathExists(Path("t/d/kept")));
  EXPECT_FALSE(PathExists(Path("t/tree")));
  EXPECT_EQ(Read("t/d/fresh"), "2");
}

TEST_F(LayerTest, TranslatesWhiteoutsForOverlays) {
  std::string archive = Archive({{'0', "d/.wh.gone"},
                                 {'0', "e/.wh..wh..opq"},
                                 {'0', ".wh.again"},
                                 {'5', "again/"}});
  ASSERT_TRUE(Apply(archive, "t").ok());
  struct stat st{};
  ASSERT_EQ(::lstat(Path("t/d/gone").c_str(), &st), 0);
  EXPECT_TRUE(S_ISCHR(st.st_mode));
  EXPECT_EQ(st.st_rdev, 0u);
  char value[4];
  EXPECT_EQ(::lgetxattr(Path("t/e").c_str(), "user.overlay.opaque", value, 4), 1);
  EXPECT_EQ(::lgetxattr(Path("t/again").c_str(), "user.overlay.opaque", value, 4), 1);
}

TEST_F(LayerTest, LooksAtLowerLayersForFoldersAndLinks) {
  Write("low/d/f", "below");
  ASSERT_EQ(::chmod(Path("low/d").c_str(), 0701), 0);
  ApplyOptions options;
  options.parents = {Path("low")};
  ASSERT_TRUE(Apply(Archive({{'0', "d/new", "n"}, {'1', "h", "d/f"}}), "t", options).ok());
  struct stat st{};
  ASSERT_EQ(::lstat(Path("t/d").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0701u);
  EXPECT_EQ(Read("t/h"), "below");
}

std::string Diff(const std::string& lower, const std::string& upper, bool overlay) {
  std::string out;
  auto written = overlay ? WriteOverlayDiff(lower, upper, AppendTo(out))
                         : WriteTreeDiff(lower, upper, AppendTo(out));
  EXPECT_TRUE(written.ok()) << written.status();
  if (written.ok()) {
    EXPECT_EQ(written->diff_id.digest, Digest::Of(out));
  }
  return out;
}

TEST_F(LayerTest, GivesTwoZeroBlocksForNoChange) {
  EXPECT_EQ(Diff("", Make("empty"), true), std::string(1024, '\0'));
}

TEST_F(LayerTest, WritesParentsOfChangesAndNothingElse) {
  Write("low/a/b/c", "1");
  Write("low/a/same", "1");
  Write("low/gone/x", "1");
  fs::copy(Path("low"), Path("up"), fs::copy_options::recursive);
  Write("up/a/b/c", "other");
  fs::remove_all(Path("up/gone"));
  // Equal files have equal times in a snapshot.
  struct stat st{};
  ASSERT_EQ(::stat(Path("low/a/same").c_str(), &st), 0);
  timespec times[2] = {st.st_atim, st.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, Path("up/a/same").c_str(), times, 0), 0);
  EXPECT_EQ(NamesIn(Diff(Path("low"), Path("up"), false)),
            (std::vector<std::string>{"a/", "a/b/", "a/b/c", ".wh.gone"}));
}

TEST_F(LayerTest, LinksToTheFirstNameOfAFile) {
  Write("up/b/one", "1");
  fs::create_directories(Path("up/a"));
  fs::create_hard_link(Path("up/b/one"), Path("up/c"));
  fs::create_hard_link(Path("up/b/one"), Path("up/a/zero"));
  EXPECT_EQ(NamesIn(Diff("", Path("up"), true)),
            (std::vector<std::string>{"a/", "a/zero", "b/", "b/one => a/zero", "c => a/zero"}));
}

TEST_F(LayerTest, TurnsWhiteoutDevicesIntoWhiteouts) {
  Write("low/d/gone", "1");
  Make("up/d");
  ASSERT_EQ(::mknod(Path("up/d/gone").c_str(), S_IFCHR, 0), 0);
  ASSERT_EQ(::mknod(Path("up/d/never").c_str(), S_IFCHR, 0), 0);
  EXPECT_EQ(NamesIn(Diff(Path("low"), Path("up"), true)),
            (std::vector<std::string>{"d/", "d/.wh.gone"}));
}

TEST_F(LayerTest, ListsWhatAnOpaqueFolderHides) {
  Write("low/d/a", "1");
  Write("low/d/b", "1");
  Write("up/d/b", "other");
  ASSERT_EQ(::lsetxattr(Path("up/d").c_str(), "user.overlay.opaque", "y", 1, 0), 0);
  EXPECT_EQ(NamesIn(Diff(Path("low"), Path("up"), true)),
            (std::vector<std::string>{"d/", "d/.wh.a", "d/b"}));
}

TEST_F(LayerTest, LowersTimesToTheEpochAndChangesNothingElse) {
  std::string early = Archive({{'5', "d/", "", 0755, 5}, {'0', "d/f", "x", 0644, 10}});
  std::string late = Archive({{'5', "d/", "", 0755, 99}, {'0', "d/f", "x", 0644, 10}});
  std::string out;
  ASSERT_TRUE(RewriteTimestamps(ReadFrom(early), 10, AppendTo(out)).ok());
  EXPECT_TRUE(out == early);
  out.clear();
  ASSERT_TRUE(RewriteTimestamps(ReadFrom(late), 10, AppendTo(out)).ok());
  EXPECT_TRUE(out == Archive({{'5', "d/", "", 0755, 10}, {'0', "d/f", "x", 0644, 10}}));
}

}  // namespace
}  // namespace kiln::oci
