// Sender against receiver over an in-memory pipe.
#include <fcntl.h>
#include <unistd.h>

#include "api/fsutil/fsutil_testing.h"
#include "api/fsutil/packet_batch.h"

namespace kiln::api {
namespace {

TEST_F(FsutilTest, FilesLinksAndModesArriveAsTheyWere) {
  Put("dir/a.txt", "hello", 0600);
  Put("run.sh", "#!/bin/sh", 0755);
  ASSERT_EQ(::symlink("dir/a.txt", (src_ + "/link").c_str()), 0);
  ASSERT_EQ(::link((src_ + "/dir/a.txt").c_str(), (src_ + "/hard").c_str()), 0);
  timespec times[2] = {{1000, 5}, {1000, 5}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (src_ + "/run.sh").c_str(), times, 0), 0);
  ASSERT_EQ(::utimensat(AT_FDCWD, (src_ + "/dir").c_str(), times, 0), 0);
  ExpectOk(Transfer(*Tree(), Options()));
  EXPECT_EQ(ReadFile(dest_ + "/hard").value(), "hello");
  struct stat a{};
  struct stat b{};
  ASSERT_EQ(::stat((dest_ + "/dir/a.txt").c_str(), &a), 0);
  ASSERT_EQ(::stat((dest_ + "/hard").c_str(), &b), 0);
  EXPECT_EQ(a.st_ino, b.st_ino);
  EXPECT_EQ(a.st_mode & 07777, 0600u);
  ASSERT_EQ(::stat((dest_ + "/run.sh").c_str(), &a), 0);
  EXPECT_EQ(a.st_mode & 07777, 0755u);
  EXPECT_EQ(a.st_mtim.tv_sec, 1000);
  EXPECT_EQ(a.st_mtim.tv_nsec, 5);
  ASSERT_EQ(::stat((dest_ + "/dir").c_str(), &a), 0);
  EXPECT_EQ(a.st_mtim.tv_sec, 1000);
  EXPECT_EQ(digests_["run.sh"], Digest::Of("#!/bin/sh").text());
}

TEST_F(FsutilTest, SecondTransferTakesOnlyWhatChanged) {
  Put("keep", "same");
  Put("change", "old");
  Put("gone/inner", "x");
  ExpectOk(Transfer(*Tree(), Options()));
  changes_.clear();
  ASSERT_TRUE(RemoveAll(src_ + "/gone").ok());
  Put("change", "newer");
  Put("new", "n");
  ExpectOk(Transfer(*Tree(), Options()));
  EXPECT_EQ(changes_, (std::set<std::string>{"C change", "C new", "D gone"}));
  EXPECT_EQ(ReadFile(dest_ + "/change").value(), "newer");
  EXPECT_FALSE(PathExists(dest_ + "/gone"));
}

TEST_F(FsutilTest, AnotherNameOfAnOldFileKeepsItsContent) {
  Put("f", "old");
  ExpectOk(Transfer(*Tree(), Options()));
  std::string other = temp_.path() + "/other";
  ASSERT_EQ(::link((dest_ + "/f").c_str(), other.c_str()), 0);
  Put("f", "newer");
  ExpectOk(Transfer(*Tree(), Options()));
  EXPECT_EQ(ReadFile(other).value(), "old");
  EXPECT_EQ(ReadFile(dest_ + "/f").value(), "newer");
}

TEST_F(FsutilTest, EntriesMayChangeTheirType) {
  Put("a/inner", "x");
  Put("b", "file");
  ASSERT_EQ(::symlink("a", (src_ + "/c").c_str()), 0);
  ExpectOk(Transfer(*Tree(), Options()));
  ASSERT_TRUE(RemoveAll(src_).ok());
  Put("a", "now a file");
  Put("b/inner", "now a folder");
  Put("c/inner", "no link");
  ExpectOk(Transfer(*Tree(), Options()));
  EXPECT_EQ(ReadFile(dest_ + "/a").value(), "now a file");
  EXPECT_EQ(ReadFile(dest_ + "/b/inner").value(), "now a folder");
  EXPECT_EQ(ReadFile(dest_ + "/c/inner").value(), "no link");
}

TEST_F(FsutilTest, ManySmallFilesPassThroughNarrowPipes) {
  ASSERT_TRUE(MakeDirs(src_ + "/d").ok());
  for (int i = 0; i < 5000; ++i) {
    std::string path = StrCat(src_, "/d/f", i);
    int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    ASSERT_GE(fd, 0);
    ASSERT_TRUE(WriteAll(fd, path).ok());
    ::close(fd);
  }
  ExpectOk(Transfer(*Tree(), Options()));
  EXPECT_EQ(changes_.size(), 5001u);
  EXPECT_EQ(ReadFile(dest_ + "/d/f4999").value(), src_ + "/d/f4999");
}

// Batches on: both sides have them, and the receiver said so when it opened the call.
struct BatchedOutcome : Outcome {
  size_t to_receiver = 0;  // messages
  size_t to_sender = 0;
};
BatchedOutcome TransferBatched(FsTree& tree, const ReceiveOptions& options, bool announced) {
  Channel to_receiver;
  Channel to_sender;
  PipeEnd sender(to_sender, to_receiver);
  PipeEnd receiver(to_receiver, to_sender);
  BatchedPackets batched_sender(sender, announced);
  BatchedPackets batched_receiver(receiver, false);
  BatchedOutcome outcome{TransferOver(batched_sender, batched_receiver, to_sender, to_receiver,
                                      tree, options)};
  outcome.to_receiver = to_receiver.messages;
  outcome.to_sender = to_sender.messages;
  return outcome;
}

TEST_F(FsutilTest, BatchesCarryManySmallFilesInFewMessages) {
  for (int i = 0; i < 3000; ++i) Put(StrCat("d", i % 7, "/f", i), StrCat("content ", i));
  Put("large", std::string(3 << 20, 'x'));
  ASSERT_EQ(::link((src_ + "/d0/f0").c_str(), (src_ + "/z").c_str()), 0);
  BatchedOutcome outcome = TransferBatched(*Tree(), Options(), true);
  ExpectOk(outcome);
  EXPECT_EQ(changes_.size(), 3009u);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_EQ(ReadFile(StrCat(dest_, "/d", i % 7, "/f", i)).value(), StrCat("content ", i));
  }
  EXPECT_EQ(ReadFile(dest_ + "/large").value(), std::string(3 << 20, 'x'));
  // One by one there would be 3010 entries and two packets for each file.
  EXPECT_LT(outcome.to_receiver, 3100u);
}

TEST_F(FsutilTest, NobodySendsBatchesUnasked) {
  for (int i = 0; i < 50; ++i) Put(StrCat("f", i), "x");
  BatchedOutcome outcome = TransferBatched(*Tree(), Options(), false);
  ExpectOk(outcome);
  // Entries, the end of the list, two packets a file, the confirmation of the end.
  EXPECT_EQ(outcome.to_receiver, 50u + 1 + 2 * 50 + 1);
  EXPECT_EQ(outcome.to_sender, 50u + 1);
}

TEST_F(FsutilTest, MergeKeepsWhatTheStreamDoesNotName) {
  ASSERT_TRUE(WriteFileAtomic(dest_ + "/mine", "mine").ok());
  ASSERT_TRUE(WriteFileAtomic(dest_ + "/a", "old").ok());
  Put("a", "new");
  ReceiveOptions options = Options();
  options.merge = true;
  ExpectOk(Transfer(*Tree(), options));
  EXPECT_EQ(ReadFile(dest_ + "/mine").value(), "mine");
  EXPECT_EQ(ReadFile(dest_ + "/a").value(), "new");
}

TEST_F(FsutilTest, FilterShowsParentsOfWhatItKeeps) {
  Put("a/b/c.go", "");
  Put("a/b/d.txt", "");
  Put("e/f.txt", "");
  EXPECT_EQ(Listing({.include = {"**/*.go"}}),
            (std::vector<std::string>{"a", "a/b", "a/b/c.go"}));
  EXPECT_EQ(Listing({.exclude = {"a", "!a/b/c.go"}}),
            (std::vector<std::string>{"a", "a/b", "a/b/c.go", "e", "e/f.txt"}));
  ASSERT_EQ(::symlink("a/b", (src_ + "/link").c_str()), 0);
  EXPECT_EQ(Listing({.follow_paths = {"link/d.txt"}}),
            (std::vector<std::string>{"a", "a/b", "a/b/d.txt", "link"}));
}

TEST_F(FsutilTest, MetadataOnlyTakesWhatItIsTold) {
  Put("a/x", "xx");
  Put("a/y", "yy");
  Put("b/z", "zz");
  ReceiveOptions options = Options();
  options.metadata_only = [](const FsStat& stat) { return stat.path == "a/y"; };
  ExpectOk(Transfer(*Tree(), options));
  EXPECT_EQ(ReadFile(dest_ + "/a/y").value(), "yy");
  EXPECT_FALSE(PathExists(dest_ + "/a/x"));
  EXPECT_FALSE(PathExists(dest_ + "/b"));
  std::string recorded = ReadFile(dest_ + "/.fsutil-metadata").value();
  EXPECT_NE(recorded.find("b/z"), std::string::npos);
}

// A tree in which something happens between the list and the first byte.
class ChangingTree final : public FsTree {
 public:
  ChangingTree(std::unique_ptr<FsTree> tree, std::function<void()> change)
      : tree_(std::move(tree)), change_(std::move(change)) {}
  Status Walk(const std::function<Status(const FsStat&)>& visit) override {
    return tree_->Walk([&](const FsStat& stat) -> Status {
      if (stat.is_regular()) std::exchange(change_, [] {})();
      return visit(stat);
    });
  }
  StatusOr<std::unique_ptr<FsFile>> Open(std::string_view path) override {
    return tree_->Open(path);
  }

 private:
  std::unique_ptr<FsTree> tree_;
  std::function<void()> change_;
};

TEST_F(FsutilTest, AFileArrivesAsItIsWhenItIsRead) {
  struct {
    const char* what;
    std::function<void(const std::string&)> change;
    const char* arrives;
  } cases[] = {
      {"grows", [](const std::string& f) { WriteFileAtomic(f, "longer than it was").IgnoreError(); },
       "longer than it was"},
      {"shrinks", [](const std::string& f) { ::truncate(f.c_str(), 3); }, "thr"},
      {"vanishes", [](const std::string& f) { ::unlink(f.c_str()); }, ""},
      {"is a link now",
       [](const std::string& f) {
         ::unlink(f.c_str());
         EXPECT_EQ(::symlink("/etc/passwd", f.c_str()), 0);
       },
       ""},
      {"is a pipe now",
       [](const std::string& f) {
         ::unlink(f.c_str());
         EXPECT_EQ(::mkfifo(f.c_str(), 0644), 0);
       },
       ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    ASSERT_TRUE(RemoveAll(src_ + "/d").ok());
    Put("d/f", "three words here");
    ChangingTree tree(Tree(), [&] { c.change(src_ + "/d/f"); });
    ExpectOk(Transfer(tree, Options()));
    EXPECT_EQ(ReadFile(dest_ + "/d/f").value(), c.arrives);
    EXPECT_EQ(digests_["d/f"], Digest::Of(c.arrives).text());
  }
}

TEST_F(FsutilTest, AFolderMayGoWhileTheTreeIsListed) {
  Put("a", "");
  Put("b/inner", "x");
  Put("c", "c");
  ChangingTree tree(Tree(), [&] { ASSERT_TRUE(RemoveAll(src_ + "/b").ok()); });
  ExpectOk(Transfer(tree, Options()));
  EXPECT_EQ(ReadFile(dest_ + "/c").value(), "c");
  EXPECT_FALSE(PathExists(dest_ + "/b"));
}

TEST_F(FsutilTest, AFileThatGrowsWithoutEndEnds) {
  Put("log", "begin");
  auto file = Tree()->Open("log");
  ASSERT_TRUE(file.ok()) << file.status();
  UniqueFd writer(::open((src_ + "/log").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  std::string read;
  char buffer[2];
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(WriteAll(writer.get(), "more").ok());
    size_t n = (*file)->Read(buffer, sizeof buffer).value();
    if (n == 0) break;
    read.append(buffer, n);
  }
  EXPECT_EQ(read, "begin");
}

TEST_F(FsutilTest, FilesWithoutASizeAreReadToTheirEnd) {
  auto tree = OpenDirTree("/proc/self", {});
  ASSERT_TRUE(tree.ok()) << tree.status();
  char buffer[64];
  EXPECT_GT((*(*tree)->Open("stat"))->Read(buffer, sizeof buffer).value(), 0u);
}

TEST(LastCall, CutsAStreamThatStaysOpen) {
  Channel in, out;
  PipeEnd end(in, out);
  LastCall last_call(end, std::chrono::milliseconds(1));
  Packet packet;
  EXPECT_FALSE(end.Recv(&packet).value());
}

TEST(LastCall, LeavesAStreamThatHasEnded) {
  Channel in, out;
  PipeEnd end(in, out);
  { LastCall last_call(end, std::chrono::hours(1)); }
  EXPECT_FALSE(in.closed);
}

}  // namespace
}  // namespace kiln::api
