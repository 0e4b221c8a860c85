// Needs root.
#include "worker/proxy/proxy_network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/strings.h"
#include "worker/netns/netns.h"

namespace kiln::worker::proxy {
namespace {

// What a step would see when it sends `request` to the proxy.
StatusOr<std::string> AskFrom(const std::string& path, std::string_view request) {
  ASSIGN_OR_RETURN(UniqueFd ns, OpenFile(path, O_RDONLY | O_CLOEXEC));
  std::string answer;
  RETURN_IF_ERROR(netns::RunIn(ns.get(), [&]() -> Status {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in in = {};
    in.sin_family = AF_INET;
    in.sin_port = htons(3128);
    ::inet_pton(AF_INET, "10.89.0.1", &in.sin_addr);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof in) != 0) {
      return ErrnoStatus(errno, "connect");
    }
    RETURN_IF_ERROR(WriteAll(fd.get(), request));
    char bytes[4096];
    for (ssize_t got; (got = ::read(fd.get(), bytes, sizeof bytes)) > 0;) {
      answer.append(bytes, static_cast<size_t>(got));
    }
    return OkStatus();
  }));
  return answer;
}

class ProxyNetworkTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = *MakeTempDir("/tmp", "proxynet-");
    remove_.emplace(root_);
  }
  std::vector<std::string> Left() { return ListDir(JoinPath(root_, "net/proxy")).value_or({}); }

  std::string root_;
  std::optional<TempDir> remove_;
};

TEST_F(ProxyNetworkTest, AStepReachesTheProxyAndNothingElse) {
  const size_t threads = ListDir("/proc/self/task")->size();
  ProxyNetwork network(root_);
  auto capture = std::make_shared<ProxyCapture>();
  {
    auto step = network.New({.policy = {}, .capture = capture}, UniqueFd());
    ASSERT_TRUE(step.ok()) << step.status().message();
    EXPECT_EQ(Left().size(), 1U);
    auto answer = AskFrom((*step)->path(), "GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(answer.ok()) << answer.status().message();
    EXPECT_TRUE(answer->starts_with("HTTP/1.1 502 Bad Gateway\r\n")) << *answer;
    EXPECT_EQ(capture->Gaps().size(), 1U);
    auto other = network.New({}, UniqueFd());
    ASSERT_TRUE(other.ok()) << other.status().message();
    EXPECT_NE((*other)->path(), (*step)->path());
  }
  EXPECT_TRUE(Left().empty());
  EXPECT_EQ(ListDir("/proc/self/task")->size(), threads);
}

TEST_F(ProxyNetworkTest, WhatACrashLeftGoes) {
  const std::string folder = JoinPath(root_, "net/proxy");
  ASSERT_TRUE(MakeDirs(folder, 0700).ok());
  ASSERT_TRUE(netns::NewAt(JoinPath(folder, "old")).ok());
  ASSERT_TRUE(WriteFileAtomic(JoinPath(folder, "never-mounted"), "").ok());
  ProxyNetwork network(root_);
  EXPECT_TRUE(Left().empty());
}

TEST_F(ProxyNetworkTest, TheVariablesReplaceThoseOfTheStep) {
  ProxyNetwork network(root_);
  auto step = network.New({}, UniqueFd());
  ASSERT_TRUE(step.ok()) << step.status().message();
  const std::string url = "http://10.89.0.1:3128", none = "127.0.0.1,localhost,::1";
  EXPECT_EQ((*step)->AddTo({"http_proxy=http://mine", "PATH=/bin", "NO_PROXY=*"}),
            (std::vector<std::string>{"PATH=/bin", "HTTP_PROXY=" + url, "HTTPS_PROXY=" + url,
                                      "http_proxy=" + url, "https_proxy=" + url,
                                      "NO_PROXY=" + none, "no_proxy=" + none}));
}

// A proxy whose own way out leads nowhere.
TEST_F(ProxyNetworkTest, TheWayOutIsTheNamespaceThatWasGiven) {
  ProxyNetwork network(root_);
  auto empty = netns::New();
  ASSERT_TRUE(empty.ok());
  auto step = network.New({}, *std::move(empty));
  ASSERT_TRUE(step.ok()) << step.status().message();
  auto answer = AskFrom((*step)->path(), "GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(Contains(*answer, "network is unreachable")) << *answer;
}

}  // namespace
}  // namespace kiln::worker::proxy
