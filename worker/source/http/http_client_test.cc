// The client against a server in this process.
#include "worker/source/http/http_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "base/strings.h"
#include "base/unique_fd.h"
#include "worker/source/http/http_source.h"

namespace kiln::worker {
namespace {

// Gives one canned answer per connection and keeps what was asked.
class CannedServer {
 public:
  explicit CannedServer(std::vector<std::string> answers) : answers_(std::move(answers)) {
    listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(listener_.get(), 8);
    socklen_t size = sizeof address;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~CannedServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string url(std::string_view path) const {
    return StrCat("http://127.0.0.1:", port_, path);
  }
  std::vector<std::string> requests;

 private:
  void Serve() {
    for (const std::string& answer : answers_) {
      UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer.valid()) return;
      std::string request;
      char buffer[4096];
      while (request.find("\r\n\r\n") == std::string::npos) {
        ssize_t count = ::read(peer.get(), buffer, sizeof buffer);
        if (count <= 0) break;
        request.append(buffer, static_cast<size_t>(count));
      }
      requests.push_back(request);
      [[maybe_unused]] ssize_t written = ::write(peer.get(), answer.data(), answer.size());
    }
  }
  std::vector<std::string> answers_;
  UniqueFd listener_;
  int port_ = 0;
  std::thread thread_;
};

TEST(HttpFetch, FollowsRedirectsAndReadsChunks) {
  CannedServer server({"HTTP/1.1 302 Found\r\nLocation: /b?x=1\r\nContent-Length: 0\r\n\r\n",
                       "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"});
  std::string body;
  StatusOr<HttpResponse> response =
      HttpFetch({.url = server.url("/a"), .headers = {{"Authorization", "t"}}},
                [&](std::string_view bytes) {
                  body += bytes;
                  return OkStatus();
                },
                {});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->header("etag"), "\"e\"");
  EXPECT_EQ(body, "abcde");
  ASSERT_EQ(server.requests.size(), 2u);
  EXPECT_TRUE(server.requests[1].starts_with("GET /b?x=1 HTTP/1.1\r\n"));
  EXPECT_TRUE(Contains(server.requests[1], "Authorization: t\r\n"));
}

TEST(HttpFetch, AnAnswerThatBreaksOffIsAnError) {
  CannedServer server({"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"});
  StatusOr<HttpResponse> response =
      HttpFetch({.url = server.url("/")}, [](std::string_view) { return OkStatus(); }, {});
  EXPECT_FALSE(response.ok());
}

TEST(HttpFetch, NobodyThereIsNamed) {
  StatusOr<HttpResponse> response = HttpFetch({.url = "http://127.0.0.1:1/x"}, nullptr, {});
  EXPECT_EQ(response.status().message(),
            "Get \"http://127.0.0.1:1/x\": dial tcp 127.0.0.1:1: connect: connection refused");
}

TEST(ParseUrl, PartsAreFoundAndRubbishIsRefused) {
  StatusOr<Url> url = ParseUrl("https://u:p@[::1]:8443/a%20b?q#f");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->port, "8443");
  EXPECT_EQ(url->path, "/a%20b");
  EXPECT_EQ(url->query, "?q");
  EXPECT_EQ(url->authority(), "[::1]:8443");
  EXPECT_FALSE(ParseUrl("ftp://x").ok());
  EXPECT_FALSE(ParseUrl("http:///x").ok());
  EXPECT_FALSE(ParseUrl("http://h/a\r\nX: y").ok());
}

TEST(HttpFileName, WantedThenServedThenUrl) {
  EXPECT_EQ(HttpFileName("http://h/a/b.txt?x", "../w", ""), "w");
  EXPECT_EQ(HttpFileName("http://h/a/b.txt", "", "attachment; filename=\"c/d\""), "d");
  EXPECT_EQ(HttpFileName("http://h/a/b%20c?x", "", ""), "b c");
  EXPECT_EQ(HttpFileName("http://h", "", ""), "download");
}

}  // namespace
}  // namespace kiln::worker
