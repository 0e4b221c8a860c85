// For tests of transfers: two ends of an in-memory stream, and folders to send and receive.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api/fsutil/fs_tree.h"
#include "api/fsutil/receiver.h"
#include "api/fsutil/sender.h"
#include "api/proto/session/fsutil_stat.pb.h"
#include "api/proto/session/fsutil_wire.pb.h"
#include "base/file.h"

namespace kiln::api {

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

// Sends `tree` from one end of the two channels to the other. The streams may be wrapped.
inline Outcome TransferOver(PacketStream& sender, PacketStream& receiver, Channel& to_sender,
                            Channel& to_receiver, FsTree& tree, const ReceiveOptions& options) {
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

inline Outcome Transfer(FsTree& tree, const ReceiveOptions& options) {
  Channel to_receiver;
  Channel to_sender;
  PipeEnd sender(to_sender, to_receiver);
  PipeEnd receiver(to_receiver, to_sender);
  return TransferOver(sender, receiver, to_sender, to_receiver, tree, options);
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

}  // namespace kiln::api
