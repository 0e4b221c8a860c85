// Sender and receiver against peers that mean no good.
#include <fcntl.h>
#include <unistd.h>

#include "api/fsutil/fsutil_testing.h"

namespace kiln::api {
namespace {

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

TEST_F(HostileTest, NoMoreIsAskedForThanMayArriveAtOnce) {
  std::vector<Packet> packets;
  for (const char* name : {"a", "b", "c"}) {
    packets.push_back(Stat(name));
    packets.back().mutable_stat()->set_size(10 << 20);
  }
  Packet fin, last;
  fin.set_type(Packet::PACKET_FIN);
  last.set_type(Packet::PACKET_STAT);
  packets.push_back(last);
  auto with = [&](const std::vector<Packet>& more) {
    std::vector<Packet> all = packets;
    all.insert(all.end(), more.begin(), more.end());
    return Verdict(all);
  };
  EXPECT_EQ(with({Data(2, "x")}), "invalid file request 2");
  EXPECT_EQ(with({Data(1, "x"), Data(2, "x")}), "invalid file request 2");
  EXPECT_EQ(with({Data(1, std::string((4 << 20) + 1, 'x')), Data(2, "x")}), "EOF");
  EXPECT_EQ(with({Data(0, ""), Data(2, "x"), Data(1, ""), Data(2, ""), fin}), "");
  EXPECT_EQ(ReadFile(dest_ + "/c").value(), "x");
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
