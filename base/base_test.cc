// Unit tests of base: digests, statuses, paths, processes, pools.
#include <gtest/gtest.h>

#include <atomic>

#include "base/digest.h"
#include "base/file.h"
#include "base/job_pool.h"
#include "base/process.h"
#include "base/status.h"
#include "base/time.h"

namespace kiln {
namespace {

TEST(Digest, OfEmptyTextIsTheKnownValue) {
  EXPECT_EQ(Digest::Of("").text(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Digest, ParseRefusesWhatIsNotADigest) {
  EXPECT_FALSE(Digest::Parse("sha256").ok());
  EXPECT_FALSE(Digest::Parse("sha256:abc").ok());
  EXPECT_FALSE(Digest::Parse("md5:d41d8cd98f00b204e9800998ecf8427e").ok());
  EXPECT_TRUE(Digest::Parse(Digest::Of("x").text()).ok());
}

TEST(Digest, ChainIdFollowsTheSpec) {
  DiffId a{Digest::Of("a")};
  DiffId b{Digest::Of("b")};
  EXPECT_EQ(ChainId({}).text(), "");
  EXPECT_EQ(ChainId(std::vector{a}), a.digest);
  EXPECT_EQ(ChainId(std::vector{a, b}),
            Digest::Of(a.digest.text() + " " + b.digest.text()));
}

TEST(Status, DetailsSurviveAnnotateInOrder) {
  Status status = NotFoundError("gone");
  status.AddDetail("a", "1");
  status.AddDetail("b", "2");
  status.AddDetail("a", "3");

  Status outer = Annotate(status, "reading");

  EXPECT_EQ(outer.message(), "reading: gone");
  const auto& details = outer.details();
  ASSERT_EQ(details.size(), 3u);
  EXPECT_EQ(details[0].bytes, "1");
  EXPECT_EQ(details[1].type_url, "b");
  EXPECT_EQ(details[2].bytes, "3");
}

TEST(Path, CleanFollowsGo) {
  const struct {
    const char* in;
    const char* out;
  } cases[] = {{"", "."},        {"/", "/"},       {"a//b", "a/b"},    {"a/../..", ".."},
               {"/../a", "/a"},  {"./a/./", "a"},  {"a/b/..", "a"},    {"../../x", "../../x"}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.in);
    EXPECT_EQ(CleanPath(c.in), c.out);
  }
  EXPECT_EQ(DirName("/a/b"), "/a");
  EXPECT_EQ(DirName("a"), ".");
  EXPECT_EQ(BaseName("/a/b/"), "b");
}

TEST(File, AtomicWriteReplacesAndReadsBack) {
  TempDir dir(*MakeTempDir("/tmp", "kiln-base-"));
  std::string path = JoinPath(dir.path(), "x");

  ASSERT_TRUE(WriteFileAtomic(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomic(path, "two").ok());

  EXPECT_EQ(*ReadFile(path), "two");
  EXPECT_EQ(ListDir(dir.path())->size(), 1u);
}

TEST(Process, CollectsBothStreamsAndTheExitCode) {
  ProcessOptions options{.argv = {"/bin/sh", "-c", "cat; echo err >&2; exit 7"}};

  auto output = RunCommand(options, "in", {});

  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->out, "in");
  EXPECT_EQ(output->err, "err\n");
  EXPECT_EQ(output->exit_code, 7);
}

TEST(Process, StopKillsTheGroup) {
  std::stop_source source;
  source.request_stop();
  ProcessOptions options{.argv = {"/bin/sh", "-c", "sleep 60"}};

  auto output = RunCommand(options, "", source.get_token());

  EXPECT_TRUE(IsCancelled(output.status()));
}

TEST(JobPool, RunsEverythingBeforeItEnds) {
  std::atomic<int> count = 0;
  {
    JobPool pool("test", 3);
    for (int i = 0; i < 100; ++i) {
      pool.Submit([&] { ++count; });
    }
  }
  EXPECT_EQ(count, 100);
}

TEST(Time, PrintsAndParsesRfc3339) {
  EXPECT_EQ(FormatRfc3339(Time::FromSeconds(1700000000)), "2023-11-14T22:13:20Z");
  EXPECT_EQ(FormatRfc3339Nano(Time{1700000000'120000000}), "2023-11-14T22:13:20.12Z");
  EXPECT_EQ(ParseRfc3339("2023-11-14T22:13:20Z")->nanos, 1700000000'000000000);
}

TEST(Id, HasTwentyFiveCharactersAndDiffers) {
  EXPECT_EQ(NewId().size(), 25u);
  EXPECT_NE(NewId(), NewId());
}

}  // namespace
}  // namespace kiln
