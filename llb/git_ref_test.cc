// Git references against tests/golden/llb/gitrefs.json.
#include "llb/git_ref.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace kiln::llb {
namespace {

using nlohmann::json;

json OrNull(const std::optional<bool>& value) { return value.has_value() ? json(*value) : json(); }

TEST(GitRef, ReadsWhatTheReferenceReads) {
  const json golden = json::parse(std::ifstream(KILN_SOURCE_DIR "/tests/golden/llb/gitrefs.json"));
  for (const json& item : golden) {
    bool is_git = false;
    const StatusOr<GitRef> ref = ParseGitRef(item["input"].get<std::string>(), &is_git);
    EXPECT_EQ(is_git, item["isGit"]) << item;
    if (item.contains("error")) {
      EXPECT_EQ(ref.status().message(), item["error"]) << item;
      continue;
    }
    ASSERT_TRUE(ref.ok()) << item << ref.status();
    const json got = {{"Remote", ref->remote},
                      {"ShortName", ref->short_name},
                      {"Ref", ref->ref},
                      {"Checksum", ref->checksum},
                      {"SubDir", ref->subdir},
                      {"IndistinguishableFromLocal", ref->indistinguishable_from_local},
                      {"UnencryptedTCP", ref->unencrypted_tcp},
                      {"KeepGitDir", OrNull(ref->keep_git_dir)},
                      {"Submodules", OrNull(ref->submodules)},
                      {"MTime", ref->mtime},
                      {"FetchByCommit", ref->fetch_by_commit}};
    EXPECT_EQ(got, item["ref"]) << item["input"];
  }
}

TEST(GitRef, TellsUnsupportedProtocols) {
  EXPECT_EQ(ParseGitUrl("ftp://host/r.git").status().message(), "ftp: invalid protocol");
  EXPECT_TRUE(IsGitTransport("git@host:r"));
  EXPECT_FALSE(IsGitTransport("ftp://host/r"));
}

TEST(GitRef, WritesTheFragmentForm) {
  EXPECT_EQ(GitFragmentFormat("https://h/r.git?branch=b&subdir=x/../y", true),
            "https://h/r.git#refs/heads/b:y");
  EXPECT_EQ(GitFragmentFormat("https://h/r.git?branch=b&subdir=x", false),
            "https://h/r.git#refs/heads/b");
  EXPECT_EQ(GitFragmentFormat("not git", true), "not git");
}

}  // namespace
}  // namespace kiln::llb
