#include "worker/source/git/git_source.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "worker/source/git/git_bundle.h"
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

// Texts and rules of the reference's source/git.
TEST(GitBundle, LocatorsNameABlobByItsDigest) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  StatusOr<BlobQuery> query = ParseBundleLocator("oci-layout+blob://not/real@" + digest);
  ASSERT_TRUE(query.ok()) << query.status();
  EXPECT_EQ(query->scheme, "oci-layout");
  EXPECT_EQ(query->ref, "not/real@" + digest);
  EXPECT_EQ(query->store, "not/real");
  EXPECT_EQ(query->digest.text(), digest);
  auto error = [](const std::string& text) { return ParseBundleLocator(text).status().message(); };
  EXPECT_EQ(error("x"), "failed to parse git.bundle locator \"x\": missing scheme");
  EXPECT_EQ(error("https://h/x"),
            "git.bundle locator scheme \"https\" is not supported; expected "
            "\"docker-image+blob\" or \"oci-layout+blob\"");
  EXPECT_NE(error("docker-image+blob://a/b:latest").find("invalid digest"), std::string::npos);
  EXPECT_NE(error("docker-image+blob://a/b@sha512:" + std::string(128, 'a'))
                .find("digest algorithm \"sha512\" not supported, expected \"sha256\""),
            std::string::npos);
}

TEST(GitBundle, AttributesThatDoNotGoTogetherAreRefused) {
  GitIdentifier id;
  id.bundle = "docker-image+blob://a/b@sha256:" + std::string(64, 'a');
  EXPECT_EQ(CheckBundleAttributes(id).message(), "git.bundle requires git.checksum to be set");
  id.checksum = kA;
  EXPECT_TRUE(CheckBundleAttributes(id).ok());
  id.ref = kB;
  EXPECT_EQ(CheckBundleAttributes(id).message(),
            StrCat("expected checksum to match ", kA, ", got ", kB));
  GitIdentifier out;
  out.checkout_bundle = true;
  EXPECT_TRUE(CheckBundleAttributes(out).ok());
  out.keep_git_dir = true;
  EXPECT_EQ(CheckBundleAttributes(out).message(),
            "git.checkoutbundle is incompatible with git.keepgitdir");
  out.keep_git_dir = false;
  out.subdir = "x";
  EXPECT_EQ(CheckBundleAttributes(out).message(),
            "git.checkoutbundle is incompatible with git.subdir");
}

TEST(GitBundle, TheCommitHasTheNameThatWasAskedFor) {
  EXPECT_EQ(BundleRef(""), "refs/heads/main");
  EXPECT_EQ(BundleRef(kA), "refs/heads/main");
  EXPECT_EQ(BundleRef("master"), "refs/heads/master");
  EXPECT_EQ(BundleRef("refs/heads/master"), "refs/heads/master");
  EXPECT_EQ(BundleRef("heads/master"), "refs/heads/master");
  EXPECT_EQ(BundleRef("refs/tags/v1"), "refs/tags/v1");
}

}  // namespace
}  // namespace kiln::worker
