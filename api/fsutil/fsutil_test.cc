// Sender against receiver over an in-memory pipe, and receivers against hostile peers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include "api/fsutil/fs_tree.h"
#include "api/fsutil/packet_batch.h"
#include "api/fsutil/receiver.h"
#include "api/fsutil/sender.h"
#include "api/proto/session/fsutil_stat.pb.h"
#include "api/proto/session/fsutil_wire.pb.h"
#include "base/file.h"

namespace kiln::api {
namespace {

using ::fsutil::types::Packet;

// One direction: holds at most `limit` packets, as flow control would.
struct Channel {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::string> packets;
  size_t limit = 64;
  size_t messages = 0;  // so far
  bool closed = false;

  void Close() {
    std::lock_guard lock(mutex);
    closed = true;
    wake.notify_all();
  }
};

class PipeEnd final : public PacketStream {
 public:
  PipeEnd(Channel& in, Channel& out) : in_(in), out_(out) {}
  StatusOr<bool> Recv(Packet* packet) override {
    std::unique_lock lock(in_.mutex);
    in_.wake.wait(lock, [&] { return in_.closed || !in_.packets.empty(); });
    if (in_.packets.empty()) return false;
    packet->ParseFromString(in_.packets.front());
    in_.packets.pop_front();
    in_.wake.notify_all();
    return true;
  }
  Status Send(const Packet& packet, bool) override {
    std::unique_lock lock(out_.mutex);
    out_.wake.wait(lock, [&] { return out_.closed || out_.packets.size() < out_.limit; });
    if (out_.closed) return UnavailableError("closed");
    out_.packets.push_back(packet.SerializeAsString());
    ++out_.messages;
    out_.wake.notify_all();
    return OkStatus();
  }
  void Cut() override {
    in_.Close();
    out_.Close();
  }

 private:
  Channel& in_;
  Channel& out_;
};

struct Outcome {
  Status sent;
  Status received;
};

Outcome Transfer(FsTree& tree, const ReceiveOptions& options) {
  Channel to_receiver;
  Channel to_sender;
  PipeEnd sender(to_sender, to_receiver);
  PipeEnd receiver(to_receiver, to_sender);
  Outcome outcome;
  std::thread thread([&] {
    outcome.sent = SendTree(sender, tree);
    to_receiver.Close();
    to_sender.Close();
  });
  outcome.received = ReceiveTree(receiver, options);
  to_sender.Close();
  thread.join();
  return outcome;
}

class FsutilTest : public ::testing::Test {
 protected:
  FsutilTest() : temp_(MakeTempDir("/tmp", "fsutil-").value()) {
    src_ = temp_.path() + "/src";
    dest_ = temp_.path() + "/dest";
    EXPECT_TRUE(MakeDirs(src_).ok());
    EXPECT_TRUE(MakeDirs(dest_).ok());
  }
  void Put(const std::string& path, std::string_view bytes, mode_t mode = 0644) {
    ASSERT_TRUE(MakeDirs(DirName(src_ + "/" + path)).ok());
    ASSERT_TRUE(WriteFileAtomic(src_ + "/" + path, bytes, mode).ok());
  }
  std::unique_ptr<FsTree> Tree(TreeFilter filter = {}) {
    auto tree = OpenDirTree(src_, std::move(filter));
    EXPECT_TRUE(tree.ok()) << tree.status();
    return std::move(*tree);
  }
  // Records changes as "A path", "M path", "D path".
  ReceiveOptions Options() {
    struct CountHash final : EntryHash {
      Sha256 hash;
      void Update(std::string_view bytes) override { hash.Update(bytes); }
      Digest Finish() override { return hash.Finish(); }
    };
    ReceiveOptions options;
    options.dest = dest_;
    options.hash = [](const FsStat&) { return std::make_unique<CountHash>(); };
    options.on_change = [this](FsChange kind, const FsStat& stat, const Digest& digest) {
      changes_.insert(StrCat(kind == FsChange::kDelete ? "D " : "C ", stat.path));
      digests_[stat.path] = digest.text();
      return OkStatus();
    };
    return options;
  }
  void ExpectOk(const Outcome& outcome) {
    EXPECT_TRUE(outcome.sent.ok()) << outcome.sent;
    EXPECT_TRUE(outcome.received.ok()) << outcome.received;
  }
  std::vector<std::string> Listing(TreeFilter filter) {
    std::vector<std::string> paths;
    EXPECT_TRUE(Tree(std::move(filter))
                    ->Walk([&](const FsStat& stat) {
                      paths.push_back(stat.path);
                      return OkStatus();
                    })
                    .ok());
    return paths;
  }

  TempDir temp_;
  std::string src_;
  std::string dest_;
  std::set<std::string> changes_;
  std::map<std::string, std::string> digests_;
};

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
  BatchedOutcome outcome;
  std::thread thread([&] {
    outcome.sent = SendTree(batched_sender, tree);
    to_receiver.Close();
    to_sender.Close();
  });
  outcome.received = ReceiveTree(batched_receiver, options);
  to_sender.Close();
  thread.join();
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

// Plays a receiver by hand, which asks for whatever is listed.
class SenderTest : public FsutilTest {
 protected:
  // What SendTree says to these packets; its own are dropped.
  std::string Verdict(const std::vector<Packet>& packets) {
    Channel to_sender, to_receiver;
    to_receiver.limit = 1000;
    PipeEnd end(to_sender, to_receiver);
    for (const Packet& packet : packets) to_sender.packets.push_back(packet.SerializeAsString());
    to_sender.closed = true;
    std::unique_ptr<FsTree> tree = Tree();
    return SendTree(end, *tree).message();
  }
  static Packet Of(Packet::PacketType type, uint32_t id = 0, std::string data = "") {
    Packet packet;
    packet.set_type(type);
    packet.set_id(id);
    packet.set_data(std::move(data));
    return packet;
  }
};

TEST_F(SenderTest, ReceiversThatMeanNoGoodEndIt) {
  EXPECT_EQ(Verdict({Of(Packet::PACKET_REQ, 7)}), "invalid file id 7");
  EXPECT_EQ(Verdict({Of(Packet::PACKET_ERR, 0, "no")}), "error from receiver: no");
  EXPECT_EQ(Verdict({Of(Packet::PACKET_FIN)}), "");
  EXPECT_EQ(Verdict({}), "EOF");
}

// A peer that has said its last word and takes nothing any more. Its word is read once
// the list has failed: a file, and the end of the list, could not be sent.
class HungUp final : public PacketStream {
 public:
  explicit HungUp(Packet word) : word_(std::move(word)) {}
  StatusOr<bool> Recv(Packet* packet) override {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return refused_ >= 2; });
    *packet = word_;
    return !std::exchange(read_, true);
  }
  Status Send(const Packet&, bool) override {
    std::lock_guard lock(mutex_);
    ++refused_;
    wake_.notify_all();
    return UnavailableError("session is gone");
  }
  void Cut() override {}

 private:
  Packet word_;
  std::mutex mutex_;
  std::condition_variable wake_;
  int refused_ = 0;
  bool read_ = false;
};

TEST_F(SenderTest, WhatAPeerSaysBeforeItHangsUpCounts) {
  Put("f", "x");
  auto verdict = [this](Packet word) {
    HungUp stream(std::move(word));
    std::unique_ptr<FsTree> tree = Tree();
    return SendTree(stream, *tree).message();
  };
  EXPECT_EQ(verdict(Of(Packet::PACKET_REQ, 7)), "invalid file id 7");
  EXPECT_EQ(verdict(Of(Packet::PACKET_ERR, 0, "no")), "error from receiver: no");
  EXPECT_EQ(verdict(Of(Packet::PACKET_FIN)), "");
  EXPECT_EQ(verdict(Of(Packet::PACKET_DATA)), "EOF");
}

TEST_F(SenderTest, AFileIsAskedForOnce) {
  Put("f", "x");
  Channel to_sender, to_receiver;
  PipeEnd sender(to_sender, to_receiver), receiver(to_receiver, to_sender);
  Status sent;
  std::thread thread([&] {
    std::unique_ptr<FsTree> tree = Tree();
    sent = SendTree(sender, *tree);
  });
  Packet packet;
  ASSERT_TRUE(receiver.Recv(&packet).value());
  ASSERT_TRUE(packet.has_stat());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(receiver.Send(Of(Packet::PACKET_REQ, 0), false).ok());
  thread.join();
  EXPECT_EQ(sent.message(), "invalid file id 0");
}

TEST_F(SenderTest, TheListWaitsForFilesThatWereAskedFor) {
  ASSERT_TRUE(MakeDirs(src_).ok());
  for (int i = 0; i < 2000; ++i) {
    UniqueFd file(::open(StrCat(src_, "/f", i).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  }
  Channel to_sender, to_receiver;
  to_sender.limit = 20000;
  PipeEnd sender(to_sender, to_receiver), receiver(to_receiver, to_sender);
  std::thread thread([&] {
    std::unique_ptr<FsTree> tree = Tree();
    EXPECT_TRUE(SendTree(sender, *tree).ok());
  });
  uint32_t listed = 0, done = 0, most = 0;
  Packet packet;
  while (done < 2000 && receiver.Recv(&packet).value()) {
    if (packet.has_stat()) {
      ASSERT_TRUE(receiver.Send(Of(Packet::PACKET_REQ, listed++), false).ok());
    } else if (packet.type() == Packet::PACKET_DATA) {
      ++done;
    }
    most = std::max(most, listed - done);
  }
  ASSERT_TRUE(receiver.Send(Of(Packet::PACKET_FIN), false).ok());
  thread.join();
  EXPECT_EQ(done, 2000u);
  EXPECT_LT(most, 1000u);
}

// Feeds packets by hand and gives the receiver's verdict.
class HostileTest : public FsutilTest {
 protected:
  static Packet Stat(std::string path, uint32_t mode = 0644, std::string link = "") {
    Packet packet;
    packet.set_type(Packet::PACKET_STAT);
    packet.mutable_stat()->set_path(std::move(path));
    packet.mutable_stat()->set_mode(mode);
    packet.mutable_stat()->set_linkname(std::move(link));
    packet.mutable_stat()->set_uid(::getuid());
    packet.mutable_stat()->set_gid(::getgid());
    return packet;
  }
  static Packet Data(uint32_t id, std::string bytes) {
    Packet packet;
    packet.set_type(Packet::PACKET_DATA);
    packet.set_id(id);
    packet.set_data(std::move(bytes));
    return packet;
  }
  std::string Verdict(const std::vector<Packet>& packets) { return Verdict(packets, Options()); }
  std::string Verdict(const std::vector<Packet>& packets, const ReceiveOptions& options) {
    Channel to_receiver;
    Channel to_sender;
    to_sender.limit = 1000;
    PipeEnd end(to_receiver, to_sender);
    for (const Packet& packet : packets) {
      to_receiver.packets.push_back(packet.SerializeAsString());
    }
    to_receiver.closed = true;
    return ReceiveTree(end, options).message();
  }
  static constexpr uint32_t kDir = 1U << 31 | 0755;
};

TEST_F(HostileTest, PathsThatLeaveTheFolderAreRefused) {
  EXPECT_EQ(Verdict({Stat("../x")}), "escape check ../x: invalid argument");
  EXPECT_EQ(Verdict({Stat("..", kDir)}), "escape check ..: invalid argument");
  EXPECT_EQ(Verdict({Stat("/etc/passwd")}), "absolute path /etc/passwd: invalid argument");
  EXPECT_EQ(Verdict({Stat("a", kDir), Stat("a/../../x")}),
            "unclean path a/../../x: invalid argument");
  EXPECT_EQ(Verdict({Stat("a", 1U << 27 | 0777, "/tmp"), Stat("a/x")}),
            "changes out of order: \"a/x\" \"a\"");
}

TEST_F(HostileTest, EntriesOutOfOrderAreRefused) {
  EXPECT_EQ(Verdict({Stat("b"), Stat("a")}), "changes out of order: \"a\" \"b\"");
  EXPECT_EQ(Verdict({Stat("a"), Stat("a")}), "changes out of order: \"a\" \"a\"");
  EXPECT_EQ(Verdict({Stat("a", kDir), Stat("b"), Stat("a/x")}),
            "changes out of order: \"a/x\" \"b\"");
}

TEST_F(HostileTest, SizesMayLie) {
  Packet more = Stat("a"), less = Stat("b"), negative = Stat("a");
  more.mutable_stat()->set_size(1);
  less.mutable_stat()->set_size(int64_t{1} << 60);
  negative.mutable_stat()->set_size(-1);
  Packet fin, last;
  fin.set_type(Packet::PACKET_FIN);
  last.set_type(Packet::PACKET_STAT);
  EXPECT_EQ(Verdict({more, less, last, Data(0, "four"), Data(0, ""), Data(1, "x"), Data(1, ""), fin}),
            "");
  EXPECT_EQ(ReadFile(dest_ + "/a").value(), "four");
  EXPECT_EQ(ReadFile(dest_ + "/b").value(), "x");
  EXPECT_EQ(Verdict({negative}), "negative size a: invalid argument");
}

TEST_F(HostileTest, TheEndIsTheEnd) {
  Packet fin, last;
  fin.set_type(Packet::PACKET_FIN);
  last.set_type(Packet::PACKET_STAT);
  EXPECT_EQ(Verdict({fin}), "unexpected end of transfer");
  EXPECT_EQ(Verdict({Stat("a"), last, fin}), "unexpected end of transfer");
  EXPECT_EQ(Verdict({last, Stat("a")}), "stat after the end of the list");
  EXPECT_EQ(Verdict({last, last, fin}), "");
  EXPECT_EQ(Verdict({last, Data(0, "x")}), "invalid file request 0");
  EXPECT_EQ(Verdict({last, fin, Data(0, "x")}), "");  // nobody listens any more
}

TEST_F(HostileTest, PathsLongerThanTheSystemTakesAreNotKept) {
  std::string deep = "a";
  while (deep.size() < 5000) deep += "/a";
  EXPECT_EQ(Verdict({Stat(deep, kDir)}), "path of 5001 bytes: invalid argument");
  EXPECT_EQ(Verdict({Stat("l", 1U << 27 | 0777, deep)}), "path of 5001 bytes: invalid argument");
}

TEST_F(HostileTest, ThereIsAnEndToEntries) {
  ReceiveOptions options = Options();
  options.max_entries = 2;
  EXPECT_EQ(Verdict({Stat("a", kDir), Stat("b")}, options), "EOF");
  EXPECT_EQ(Verdict({Stat("a", kDir), Stat("b"), Stat("c")}, options),
            "transfer of more than 2 entries");
  // Those of which only the names are kept count as well.
  options.metadata_only = [](const FsStat&) { return false; };
  EXPECT_EQ(Verdict({Stat("a", kDir), Stat("b"), Stat("c")}, options),
            "transfer of more than 2 entries");
}

TEST_F(HostileTest, ThereIsAnEndToWhatEntriesSay) {
  ReceiveOptions options = Options();
  options.max_entry_bytes = 10;
  const std::string verdict = "transfer with more than 10 bytes of names and attributes";
  EXPECT_EQ(Verdict({Stat("a"), Stat("b", 1U << 27 | 0777, "12345678")}, options), "EOF");
  EXPECT_EQ(Verdict({Stat("a"), Stat("b", 1U << 27 | 0777, "123456789")}, options), verdict);
  EXPECT_EQ(Verdict({Stat("a"), Stat("1234567890")}, options), verdict);
  Packet with_attribute = Stat("a");
  (*with_attribute.mutable_stat()->mutable_xattrs())["user.x"] = "123";
  EXPECT_EQ(Verdict({with_attribute}, options), "EOF");
  EXPECT_EQ(Verdict({with_attribute, Stat("b")}, options), verdict);
}

TEST_F(HostileTest, LinksAndDataNeedWhatWasAnnounced) {
  EXPECT_EQ(Verdict({Stat("l", 0644, "unknown")}), "invalid link l to unknown path: \"unknown\"");
  EXPECT_EQ(Verdict({Data(7, "x")}), "invalid file request 7");
  EXPECT_EQ(Verdict({Stat("a"), Data(0, "x"), Data(0, ""), Data(0, "y")}),
            "invalid file request 0");
  EXPECT_EQ(Verdict({Stat("a")}), "EOF");
}

}  // namespace
}  // namespace kiln::api
