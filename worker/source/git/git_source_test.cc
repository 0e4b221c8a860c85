#include "worker/source/git/git_source.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "worker/source/git/git_cli.h"

namespace kiln::worker {
namespace {

const std::string kA(40, 'a'), kB(40, 'b'), kC(40, 'c');

TEST(PickRemoteRef, BranchesWinOverTags) {
  std::string out = StrCat(kA, "\trefs/heads/v1\n", kB, "\trefs/tags/v1\n", kC,
                           "\trefs/tags/v1^{}\n");
  StatusOr<GitResolved> found = PickRemoteRef(out, "v1");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->ref, "refs/heads/v1");
  EXPECT_EQ(found->commit, kA);
  EXPECT_EQ(found->tagged_commit, "");
}

TEST(PickRemoteRef, AnnotatedTagsNameTheirCommit) {
  std::string out = StrCat(kB, "\trefs/tags/v1\n", kC, "\trefs/tags/v1^{}\n");
  StatusOr<GitResolved> found = PickRemoteRef(out, "v1");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->commit, kB);
  EXPECT_EQ(found->tagged_commit, kC);
}

TEST(PickRemoteRef, WhatIsMissingOrNoCommitIsRefused) {
  EXPECT_EQ(PickRemoteRef("", "x").status().message(),
            "repository does not contain ref x, output: \"\"");
  EXPECT_EQ(PickRemoteRef("zz\trefs/heads/x\n", "x").status().message(),
            "invalid commit sha \"zz\"");
}

TEST(RedactCredentials, OnlyThePasswordGoes) {
  EXPECT_EQ(RedactCredentials("https://u:p@h/r.git"), "https://u:xxxxx@h/r.git");
  EXPECT_EQ(RedactCredentials("https://h/r@x:y.git"), "https://h/r@x:y.git");
  EXPECT_EQ(RedactCredentials("git@h:r.git"), "git@h:r.git");
}

}  // namespace
}  // namespace kiln::worker
