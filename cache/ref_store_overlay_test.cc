// The RefStore suite over overlayfs, and what only a stack can show. Needs root.
#include <sys/stat.h>
#include <sys/xattr.h>

#include "cache/snapshot/tree_copy.h"
#include "cache/testing/ref_store_suite.h"

namespace kiln::cache {

INSTANTIATE_TEST_SUITE_P(Overlay, RefStoreSuite,
                         testing::Values("overlayfs", "remote-overlayfs"));

class OverlayRefs : public RefStoreSuite {};
INSTANTIATE_TEST_SUITE_P(Overlay, OverlayRefs,
                         testing::Values("overlayfs", "remote-overlayfs"));

TEST_P(OverlayRefs, HundredsOfLayersCanBeMounted) {
  Ref top = Make(Ref(), {"f0=0"});
  for (int i = 1; i <= 200; ++i) top = Make(top, {StrCat("f", i, "=", i)});
  std::string tree = Describe(top);
  EXPECT_NE(tree.find("f200=200"), std::string::npos);
  EXPECT_NE(tree.find("f0=0"), std::string::npos);
}

class HighStack : public RefStoreSuite {
 protected:
  // As Make, but past the mount, which a high stack makes dear.
  Ref MakeUnmounted(const Ref& parent, const std::vector<std::string>& files) {
    MutableRef tree = std::move(store_->NewMutable(parent, {})).value();
    Edit(root() + "/snapshots/" + tree.id() + "/fs", files);
    return std::move(tree.Commit()).value();
  }
};
// How it is mounted does not depend on who keeps the layers.
INSTANTIATE_TEST_SUITE_P(Overlay, HighStack, testing::Values("overlayfs"));

TEST_P(HighStack, MoreLayersThanTheKernelMountsAtOnce) {
  Ref top = Make(Ref(), {"f0=0", "gone=1", "dir/old=1"});
  for (int i = 1; i <= 1010; ++i) top = MakeUnmounted(top, {StrCat("f", i % 7, "=", i)});
  top = Make(top, {"gone!", "dir!", "dir/new=2"});
  std::string tree = Describe(top);
  EXPECT_NE(tree.find("f2=1010"), std::string::npos);
  EXPECT_NE(tree.find("dir/new=2"), std::string::npos);
  EXPECT_EQ(tree.find("gone"), std::string::npos);
  EXPECT_EQ(tree.find("dir/old"), std::string::npos);
}

TEST_P(OverlayRefs, OnlyChangesAreStoredAndMarksAreWhiteoutsByName) {
  Ref base = Make(Ref(), {"old/a=1"});
  Ref top = Make(base, {"old!", "old/b=2", "fresh/c=3"});
  std::string fs = root() + "/snapshots/" + top.id() + "/fs";
  char value[8];
  EXPECT_LT(::lgetxattr((fs + "/old").c_str(), "trusted.overlay.opaque", value, 8), 0);
  struct stat hidden{};
  ASSERT_EQ(::lstat((fs + "/old/a").c_str(), &hidden), 0);
  EXPECT_TRUE(IsWhiteout(hidden));
  EXPECT_LT(::lgetxattr((fs + "/fresh").c_str(), "trusted.overlay.opaque", value, 8), 0);
  EXPECT_EQ(Describe(top), "fresh/ fresh/c=3 old/ old/b=2 ");
}

}  // namespace kiln::cache
