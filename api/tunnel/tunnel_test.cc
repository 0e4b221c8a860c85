// The tunnel against an outer stream made of two queues.
#include "api/tunnel/tunnel.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>

namespace kiln::api {
namespace {

class QueueStream : public ByteStream {
 public:
  bool Read(std::string* bytes) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return cancelled_ || !incoming_.empty(); });
    if (incoming_.empty()) return false;
    *bytes = std::move(incoming_.front());
    incoming_.pop_front();
    return true;
  }
  bool Write(std::string_view bytes) override {
    std::lock_guard lock(mutex_);
    if (cancelled_) return false;
    sent_ += bytes;
    changed_.notify_all();
    return true;
  }
  void Cancel() override {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    changed_.notify_all();
  }
  void Push(std::string bytes) {
    std::lock_guard lock(mutex_);
    incoming_.push_back(std::move(bytes));
    changed_.notify_all();
  }
  std::string WaitForSent(size_t size) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return sent_.size() >= size; });
    return sent_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> incoming_;
  std::string sent_;
  bool cancelled_ = false;
};

std::string ReadExactly(int fd, size_t size) {
  std::string out;
  while (out.size() < size) {
    pollfd wait{fd, POLLIN, 0};
    poll(&wait, 1, -1);
    char buffer[4096];
    ssize_t count = read(fd, buffer, sizeof buffer);
    if (count <= 0) break;
    out.append(buffer, static_cast<size_t>(count));
  }
  return out;
}

TEST(Tunnel, CarriesBytesBothWaysInOrder) {
  QueueStream stream;
  auto tunnel = Tunnel::Start(stream);
  ASSERT_TRUE(tunnel.ok());
  UniqueFd fd((*tunnel)->ReleaseGrpcFd());

  stream.Push("hello ");
  stream.Push("world");
  ASSERT_EQ(write(fd.get(), "answer", 6), 6);

  EXPECT_EQ(ReadExactly(fd.get(), 11), "hello world");
  EXPECT_EQ(stream.WaitForSent(6), "answer");
}

TEST(Tunnel, EndOfTheStreamIsEndOfFileForGrpc) {
  QueueStream stream;
  auto tunnel = Tunnel::Start(stream);
  ASSERT_TRUE(tunnel.ok());
  UniqueFd fd((*tunnel)->ReleaseGrpcFd());

  stream.Cancel();
  (*tunnel)->Wait();

  char byte;
  EXPECT_EQ(read(fd.get(), &byte, 1), 0);
}

TEST(Tunnel, ClosingGrpcsEndCancelsTheStream) {
  QueueStream stream;
  auto tunnel = Tunnel::Start(stream);
  ASSERT_TRUE(tunnel.ok());

  close((*tunnel)->ReleaseGrpcFd());
  (*tunnel)->Wait();

  std::string bytes;
  EXPECT_FALSE(stream.Read(&bytes));
}

}  // namespace
}  // namespace kiln::api
