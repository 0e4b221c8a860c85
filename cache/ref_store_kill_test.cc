// Kills a process that works on a store at any instant; the next start must accept
// what is left, and what had been reported as done must be there.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "cache/testing/ref_store_suite.h"

namespace kiln::cache {

class KilledRefs : public RefStoreSuite {
 protected:
  // Works until killed. Writes the id of a tree that stays in use to `report` once it
  // is flushed, then a line for each round of work.
  [[noreturn]] void Work(int report, unsigned seed) {
    Open();
    Ref kept = Make(Make(Ref(), {"base=0"}), {"d/top=kept", "base!"});
    KILN_CHECK(database_->Flush().ok());
    std::string line = kept.id() + "\n";
    KILN_CHECK(::write(report, line.data(), line.size()) > 0);
    for (unsigned i = seed;; ++i) {
      {
        Ref base = Make(Ref(), {StrCat("base=", i)});
        Ref top = Make(base, {StrCat("d/top=", i), "base!"});
        KILN_CHECK(top.GetRemote(true, {}).ok());
        if (i % 3 == 0) {
          Remote remote = std::move(top.GetRemote(true, {})).value();
          Ref low = std::move(store_->GetByBlob(remote.layers[1], base, {}, nullptr)).value();
          KILN_CHECK(low.Extract().ok());
        }
        KILN_CHECK(::write(report, "\n", 1) > 0);
      }
      if (i % 4 == 0) KILN_CHECK(store_->Prune({}, {}).ok());
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Overlay, KilledRefs,
                         testing::Values("overlayfs", "remote-overlayfs"));

TEST_P(KilledRefs, EveryStartAcceptsWhatAKillLeft) {
  Close();
  for (unsigned round = 0; round < 20; ++round) {
    int pipe_fds[2];
    ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) Work(pipe_fds[1], round * 1000 + 1);
    ::close(pipe_fds[1]);
    // Let it finish a few trees, then end it somewhere in the middle of the next.
    std::string report;
    char buffer[256];
    while (std::count(report.begin(), report.end(), '\n') < 3) {
      ssize_t count = ::read(pipe_fds[0], buffer, sizeof buffer);
      ASSERT_GT(count, 0);
      report.append(buffer, static_cast<size_t>(count));
    }
    ::usleep(1000 * (round * 13 % 90));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    ::close(pipe_fds[0]);

    Open();
    ASSERT_TRUE(database_->CheckIntegrity().ok());
    std::vector<UsageRecord> records = store_->Usage({}).value();
    for (const UsageRecord& record : records) {
      StatusOr<Ref> ref = store_->Get(record.id);
      ASSERT_TRUE(ref.ok()) << ref.status();
      EXPECT_NE(Describe(*ref), "");
      EXPECT_TRUE(ref->GetRemote(true, {}).ok());
    }
    StatusOr<Ref> done = store_->Get(report.substr(0, report.find('\n')));
    ASSERT_TRUE(done.ok()) << done.status();
    EXPECT_EQ(Describe(*done), "d/ d/top=kept ");
    done = NotFoundError("");
    PruneOptions all;
    all.all = true;
    ASSERT_TRUE(store_->Prune(all, {}).ok());
    EXPECT_TRUE(store_->Usage({}).value().empty());
    EXPECT_TRUE(content_->List().value().empty());
    EXPECT_EQ(Snapshots(), 0U);
    Close();
  }
}

}  // namespace kiln::cache
