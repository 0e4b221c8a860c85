// Needs root.
#include "worker/netns/netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::worker::netns {
namespace {

constexpr uint32_t kFirst = 0x0a590001, kSecond = 0x0a590002;  // 10.89.0.1 and .2

StatusOr<UniqueFd> Socket(int type) {
  UniqueFd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoStatus(errno, "socket");
  return fd;
}

sockaddr_in At(uint32_t address, uint16_t port) {
  sockaddr_in in = {};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(address);
  in.sin_port = htons(port);
  return in;
}

ino_t Inode(int fd) {
  struct stat st = {};
  EXPECT_EQ(::fstat(fd, &st), 0);
  return st.st_ino;
}

TEST(Netns, TheTwoEndsReachEachOtherAndNothingElse) {
  StatusOr<UniqueFd> a = New(), b = New();
  ASSERT_TRUE(a.ok() && b.ok()) << a.status().message();
  Status joined = Join({a->get(), "eth0", kFirst}, {b->get(), "eth0", kSecond}, 30);
  ASSERT_TRUE(joined.ok()) << joined.message();

  UniqueFd listener;
  ASSERT_TRUE(RunIn(a->get(), [&]() -> Status {
                ASSIGN_OR_RETURN(listener, Socket(SOCK_STREAM));
                sockaddr_in in = At(kFirst, 3128);
                if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&in), sizeof in) != 0 ||
                    ::listen(listener.get(), 1) != 0) {
                  return ErrnoStatus(errno, "listen");
                }
                return OkStatus();
              }).ok());
  auto connect_from = [](int ns, uint32_t address, uint16_t port) {
    return RunIn(ns, [&]() -> Status {
      ASSIGN_OR_RETURN(UniqueFd fd, Socket(SOCK_STREAM));
      sockaddr_in in = At(address, port);
      if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof in) != 0) {
        return ErrnoStatus(errno, "connect");
      }
      return OkStatus();
    });
  };
  EXPECT_TRUE(connect_from(b->get(), kFirst, 3128).ok());
  EXPECT_NE(connect_from(b->get(), 0x01010101, 80).message().find("network is unreachable"),
            std::string::npos);
}

TEST(Netns, TheCallerStaysWhereItIs) {
  StatusOr<UniqueFd> before = OpenFile("/proc/thread-self/ns/net", O_RDONLY);
  StatusOr<UniqueFd> made = New();
  ASSERT_TRUE(before.ok() && made.ok());
  ino_t inside = 0;
  ASSERT_TRUE(RunIn(made->get(), [&]() -> Status {
                ASSIGN_OR_RETURN(UniqueFd own, OpenFile("/proc/thread-self/ns/net", O_RDONLY));
                inside = Inode(own.get());
                return OkStatus();
              }).ok());
  StatusOr<UniqueFd> after = OpenFile("/proc/thread-self/ns/net", O_RDONLY);
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(inside, Inode(made->get()));
  EXPECT_EQ(Inode(before->get()), Inode(after->get()));
  EXPECT_NE(inside, Inode(after->get()));
}

TEST(Netns, ABoundOneLivesAtItsPathUntilUnbound) {
  StatusOr<std::string> dir = MakeTempDir("/tmp", "netns-");
  ASSERT_TRUE(dir.ok());
  TempDir remove(*dir);
  const std::string path = JoinPath(*dir, "one");
  ino_t inode = 0;
  {
    StatusOr<UniqueFd> made = NewAt(path);
    ASSERT_TRUE(made.ok()) << made.status().message();
    inode = Inode(made->get());
  }
  StatusOr<UniqueFd> again = OpenFile(path, O_RDONLY);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(Inode(again->get()), inode);
  Unbind(path);
  EXPECT_FALSE(PathExists(path));
}

TEST(Netns, NamesThatTheKernelWouldNotTakeAreRefused) {
  EXPECT_FALSE(Join({-1, "", kFirst}, {-1, "eth0", kSecond}, 30).ok());
  EXPECT_FALSE(Join({-1, "eth0", kFirst}, {-1, "a-name-of-sixteen", kSecond}, 30).ok());
}

}  // namespace
}  // namespace kiln::worker::netns
