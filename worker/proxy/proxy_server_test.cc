// The proxy between a client and a server that are both raw sockets of this test.
#include "worker/proxy/proxy_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <thread>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::worker::proxy {
namespace {

UniqueFd Listen(uint16_t* port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in in = {};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof in), 0);
  EXPECT_EQ(::listen(fd.get(), 16), 0);
  socklen_t size = sizeof in;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&in), &size);
  *port = ntohs(in.sin_port);
  return fd;
}

// One end of a connection, plain or TLS; reads give up after ten seconds.
class Wire {
 public:
  explicit Wire(UniqueFd fd) : fd_(std::move(fd)) {
    timeval limit = {10, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  static Wire To(uint16_t port) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in in = {};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = htons(port);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof in), 0);
    return Wire(std::move(fd));
  }
  bool Handshake(SSL_CTX* settings, bool server, const char* name = nullptr) {
    ssl_.reset(SSL_new(settings), SSL_free);
    SSL_set_fd(ssl_.get(), fd_.get());
    if (name != nullptr) {
      SSL_set_tlsext_host_name(ssl_.get(), name);
      SSL_set1_host(ssl_.get(), name);
    }
    return (server ? SSL_accept(ssl_.get()) : SSL_connect(ssl_.get())) == 1;
  }
  void Send(std::string_view text) {
    if (ssl_) {
      SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
    } else {
      ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    }
  }
  // More bytes into text(); false at the end.
  bool Fill() {
    char bytes[4096];
    const auto got = ssl_ ? SSL_read(ssl_.get(), bytes, sizeof bytes)
                          : static_cast<int>(::recv(fd_.get(), bytes, sizeof bytes, 0));
    if (got <= 0) return false;
    text_.append(bytes, static_cast<size_t>(got));
    return true;
  }
  // Up to and including `end`, or what there is.
  std::string ReadTo(std::string_view end) {
    while (text_.find(end) == std::string::npos && Fill()) {
    }
    const size_t at = text_.find(end);
    std::string out = text_.substr(0, at == std::string::npos ? at : at + end.size());
    text_.erase(0, out.size());
    return out;
  }
  std::string ReadAll() {
    while (Fill()) {
    }
    return std::exchange(text_, {});
  }
  void EndOfSending() { ::shutdown(fd_.get(), SHUT_WR); }

 private:
  UniqueFd fd_;
  std::shared_ptr<SSL> ssl_;
  std::string text_;
};

// A server: each connection is handled by `handler` on a thread of its own.
class Origin {
 public:
  using Handler = std::function<void(Wire&, int number)>;
  explicit Origin(Handler handler, SSL_CTX* tls = nullptr) : handler_(std::move(handler)) {
    listener_ = Listen(&port_);
    thread_ = std::thread([this, tls] {
      for (int number = 0;; ++number) {
        UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!fd.valid()) return;
        ++connections_;
        workers_.emplace_back([this, tls, number, wire = Wire(std::move(fd))]() mutable {
          if (tls == nullptr || wire.Handshake(tls, true)) handler_(wire, number);
        });
      }
    });
  }
  ~Origin() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    for (std::thread& worker : workers_) worker.join();
  }
  uint16_t port() const { return port_; }
  int connections() const { return connections_; }
  std::string Url(std::string_view path) const {
    return StrCat("http://127.0.0.1:", port_, path);
  }

 private:
  Handler handler_;
  UniqueFd listener_;
  uint16_t port_ = 0;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
  std::vector<std::thread> workers_;
};

ProxyShared& Shared() {
  static ProxyShared* shared = ProxyShared::New()->release();
  return *shared;
}

class Proxy {
 public:
  explicit Proxy(ProxyPolicy policy = {}) {
    UniqueFd listener = Listen(&port_);
    auto server = ProxyServer::Start(Shared(), std::move(listener), UniqueFd(),
                                     {std::move(policy), capture_});
    EXPECT_TRUE(server.ok()) << server.status().message();
    server_ = *std::move(server);
  }
  Wire Connect() const { return Wire::To(port_); }
  std::string Ask(std::string_view request) const {
    Wire wire = Connect();
    wire.Send(request);
    return wire.ReadAll();
  }
  ProxyCapture& capture() { return *capture_; }
  void Stop() { server_.reset(); }

 private:
  uint16_t port_ = 0;
  std::shared_ptr<ProxyCapture> capture_ = std::make_shared<ProxyCapture>();
  std::unique_ptr<ProxyServer> server_;
};

std::string Get(const std::string& url, std::string_view fields = "") {
  return StrCat("GET ", url, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", fields, "\r\n");
}

// Answers every request alike and says what it was asked.
Origin::Handler Always(std::string answer, std::string* seen = nullptr) {
  return [answer, seen](Wire& wire, int) {
    for (;;) {
      std::string request = wire.ReadTo("\r\n\r\n");
      if (request.empty()) return;
      if (seen != nullptr) *seen = request;
      wire.Send(answer);
    }
  };
}

constexpr const char* kHello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Origin: yes\r\n\r\nhello";

TEST(ProxyServer, PassesRequestsOnAndNotesThem) {
  std::string seen;
  Origin origin(Always(kHello, &seen));
  Proxy proxy;
  std::string answer = proxy.Ask(Get(
      origin.Url("/a?b"), "Accept-Encoding: gzip\r\nProxy-Authorization: secret\r\nX-Mine: 1\r\n"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nhello")) << answer;
  EXPECT_TRUE(Contains(answer, "X-Origin: yes\r\n"));
  EXPECT_TRUE(seen.starts_with("GET /a?b HTTP/1.1\r\n")) << seen;
  EXPECT_TRUE(Contains(seen, StrCat("Host: 127.0.0.1:", origin.port(), "\r\n"))) << seen;
  EXPECT_TRUE(Contains(seen, "X-Mine: 1\r\n"));
  EXPECT_FALSE(Contains(seen, "Accept-Encoding") || Contains(seen, "Proxy-Authorization"));
  EXPECT_EQ(proxy.capture().LogText(),
            StrCat("proxy network requests:\n- GET ", origin.Url("/a?b"), " -> 200\n"));
  ASSERT_EQ(proxy.capture().Materials().size(), 1U);
  EXPECT_EQ(proxy.capture().Materials()[0].digest, Digest::Of("hello"));
  EXPECT_TRUE(proxy.capture().Gaps().empty());
}

TEST(ProxyServer, ConnectionsOnBothSidesAreUsedAgain) {
  Origin origin(Always(kHello));
  Proxy proxy;
  Wire wire = proxy.Connect();
  for (int i = 0; i < 3; ++i) {
    wire.Send(StrCat("GET ", origin.Url("/"), " HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_TRUE(wire.ReadTo("hello").ends_with("hello"));
  }
  EXPECT_EQ(origin.connections(), 1);
}

TEST(ProxyServer, AServerThatHungUpMeanwhileIsAskedAgain) {
  Origin origin([](Wire& wire, int) {  // one answer each, and it does not say so
    wire.ReadTo("\r\n\r\n");
    wire.Send(kHello);
  });
  Proxy proxy;
  Wire wire = proxy.Connect();
  for (int i = 0; i < 3; ++i) {
    wire.Send(StrCat("GET ", origin.Url("/"), " HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_TRUE(wire.ReadTo("hello").ends_with("hello"));
  }
  EXPECT_EQ(origin.connections(), 3);
  EXPECT_TRUE(proxy.capture().Gaps().empty());
}

TEST(ProxyServer, BodiesGoThroughInChunks) {
  std::string body;
  Origin origin([&](Wire& wire, int) {
    wire.ReadTo("\r\n\r\n");
    body = wire.ReadTo("0\r\n\r\n");
    wire.Send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire.Send("3\r\nabc\r\n");
    wire.Send("2\r\nde\r\n0\r\n\r\n");
  });
  Proxy proxy;
  std::string answer = proxy.Ask(
      StrCat("POST ", origin.Url("/"), " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
             "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"));
  EXPECT_EQ(body, "4\r\nbody\r\n0\r\n\r\n");
  EXPECT_TRUE(Contains(answer, "Transfer-Encoding: chunked\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("0\r\n\r\n")) << answer;
  ASSERT_EQ(proxy.capture().Gaps().size(), 1U);
  EXPECT_EQ(proxy.capture().Gaps()[0].reason, "method_not_materializable");
}

TEST(ProxyServer, ABodyThatEndsWithTheConnectionIsWhole) {
  Origin origin([](Wire& wire, int) {
    wire.ReadTo("\r\n\r\n");
    wire.Send("HTTP/1.0 200 OK\r\n\r\nold style");
  });
  Proxy proxy;
  std::string old = proxy.Ask(StrCat("GET ", origin.Url("/"), " HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(old.starts_with("HTTP/1.0 200 OK\r\n")) << old;
  EXPECT_TRUE(old.ends_with("\r\n\r\nold style")) << old;
  EXPECT_TRUE(proxy.Ask(Get(origin.Url("/"))).ends_with("9\r\nold style\r\n0\r\n\r\n"));
  ASSERT_EQ(proxy.capture().Materials().size(), 2U);
  EXPECT_EQ(proxy.capture().Materials()[0].digest, Digest::Of("old style"));
}

TEST(ProxyServer, AnswersWithoutABodyHaveNone) {
  Origin origin(Always("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
  Proxy proxy;
  std::string head = proxy.Ask(
      StrCat("HEAD ", origin.Url("/"), " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  EXPECT_TRUE(Contains(head, "Content-Length: 1000\r\n")) << head;
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
  Origin empty(Always("HTTP/1.1 304 Not Modified\r\n\r\n"));
  EXPECT_TRUE(proxy.Ask(Get(empty.Url("/"))).starts_with("HTTP/1.1 304 Not Modified\r\n"));
}

TEST(ProxyServer, LargeBodiesKeepTheirBytes) {
  std::string body(3 << 20, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761U >> 24);
  Origin origin([&](Wire& wire, int) {
    wire.ReadTo("\r\n\r\n");
    wire.Send(StrCat("HTTP/1.1 200 OK\r\nContent-Length: ", body.size(), "\r\n\r\n", body));
  });
  Proxy proxy;
  std::string answer = proxy.Ask(Get(origin.Url("/")));
  ASSERT_GE(answer.size(), body.size());
  EXPECT_TRUE(answer.substr(answer.size() - body.size()) == body);
  ASSERT_EQ(proxy.capture().Materials().size(), 1U);
  EXPECT_EQ(proxy.capture().Materials()[0].digest, Digest::Of(body));
}

TEST(ProxyServer, ABodyThatBreaksOffIsAGap) {
  Origin origin([](Wire& wire, int) {
    wire.ReadTo("\r\n\r\n");
    wire.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort");
  });
  Proxy proxy;
  EXPECT_TRUE(proxy.Ask(Get(origin.Url("/"))).ends_with("short"));
  ASSERT_EQ(proxy.capture().Gaps().size(), 1U);
  EXPECT_EQ(proxy.capture().Gaps()[0].reason, "body_read_failed");
  EXPECT_TRUE(proxy.capture().Materials().empty());
}

TEST(ProxyServer, ServersThatCannotBeReachedAreABadGateway) {
  Proxy proxy;
  for (const char* url : {"http://127.0.0.1:1/", "https://127.0.0.1:1/"}) {
    std::string answer = proxy.Ask(Get(url));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n")) << answer;
    EXPECT_TRUE(Contains(answer, "dial tcp")) << answer;
  }
  EXPECT_EQ(proxy.capture().Gaps().size(), 2U);
  EXPECT_EQ(proxy.capture().Gaps()[0].reason, "upstream_error");
}

TEST(ProxyServer, WhatIsNoRequestGetsNoAnswerOrABadOne) {
  Origin origin(Always(kHello));
  Proxy proxy;
  struct Case {
    std::string sent;
    std::string answer;
  };
  const Case cases[] = {
      {"", ""},
      {"GET http://127.0", ""},                  // breaks off
      {"GET / HTTP/1.1\r\nHost: x\r\n", ""},     // breaks off
      {"\r\n\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"hello\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {std::string("\x16\x03\x01\x02\x00\x01\x00", 7) + "\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"GET / HTTP/1.1\r\nHost x\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {StrCat("GET / HTTP/1.1\r\nX: ", std::string(2 << 20, 'a'), "\r\n\r\n"),
       "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
      {"CONNECT :443 HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"CONNECT http://a/ HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"CONNECT a,IP:1.2.3.4:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"CONNECT a:443 HTTP/1.1\r\n\r\nno TLS at all",
       "HTTP/1.1 200 Connection Established\r\n"},
  };
  for (const Case& c : cases) {
    Wire wire = proxy.Connect();
    wire.Send(c.sent);
    wire.EndOfSending();
    std::string answer = wire.ReadAll();
    EXPECT_TRUE(c.answer.empty() ? answer.empty() : answer.starts_with(c.answer))
        << c.sent.substr(0, 60) << " → " << answer.substr(0, 100);
    // It goes on for the others.
    EXPECT_TRUE(proxy.Ask(Get(origin.Url("/"))).ends_with("hello"));
  }
}

TEST(ProxyServer, PoliciesDenyAndConvert) {
  std::string seen;
  Origin origin(Always(kHello, &seen));
  std::atomic<int> asked = 0;
  Proxy proxy([&](const std::string& url) -> StatusOr<PolicyAnswer> {
    ++asked;
    if (Contains(url, "/denied")) return UnknownError("denied by policy");
    if (Contains(url, "/old")) return PolicyAnswer{origin.Url("/new")};
    if (Contains(url, "/attrs")) return PolicyAnswer{url, true};
    if (Contains(url, "/away")) return PolicyAnswer{"docker-image://x"};
    return PolicyAnswer{url};
  });
  auto status = [&](const std::string& answer) { return answer.substr(0, answer.find('\r')); };
  const std::string forbidden = "HTTP/1.1 403 Forbidden";
  EXPECT_EQ(status(proxy.Ask(Get(origin.Url("/denied")))), forbidden);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(origin.connections(), 0);
  EXPECT_EQ(status(proxy.Ask(Get(origin.Url("/attrs")))), forbidden);
  EXPECT_EQ(status(proxy.Ask(Get(origin.Url("/away")))), forbidden);
  EXPECT_EQ(status(proxy.Ask(StrCat("DELETE ", origin.Url("/old"), " HTTP/1.1\r\n\r\n"))),
            forbidden);
  EXPECT_EQ(origin.connections(), 0);
  EXPECT_TRUE(proxy.capture().Requests().empty());
  EXPECT_EQ(status(proxy.Ask(Get(origin.Url("/old")))), "HTTP/1.1 200 OK");
  EXPECT_TRUE(seen.starts_with("GET /new HTTP/1.1\r\n")) << seen;
  ASSERT_EQ(proxy.capture().Materials().size(), 1U);
  EXPECT_EQ(proxy.capture().Materials()[0].url, origin.Url("/new"));
}

// A client that trusts `pem` only.
std::shared_ptr<SSL_CTX> Trusting(const std::string& pem) {
  std::shared_ptr<SSL_CTX> client(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  std::shared_ptr<BIO> in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  std::shared_ptr<X509> ca(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr), X509_free);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(client.get()), ca.get());
  // As strict as the strictest of clients.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(client.get()), X509_V_FLAG_X509_STRICT);
  SSL_CTX_set_verify(client.get(), SSL_VERIFY_PEER, nullptr);
  return client;
}

TEST(ProxyServer, LooksIntoTunnels) {
  auto other = CertificateAuthority::New();
  ASSERT_TRUE(other.ok());
  auto tls = (*other)->ServerFor("localhost");
  ASSERT_TRUE(tls.ok());
  Origin origin(Always(kHello), tls->get());
  auto client = Trusting(Shared().authority->pem());
  const std::string authority = StrCat("localhost:", origin.port());
  auto ask = [&](Proxy& proxy) {
    Wire wire = proxy.Connect();
    wire.Send(StrCat("CONNECT ", authority, " HTTP/1.1\r\nHost: ", authority, "\r\n\r\n"));
    EXPECT_EQ(wire.ReadTo("\r\n\r\n"), "HTTP/1.1 200 Connection Established\r\n\r\n");
    EXPECT_TRUE(wire.Handshake(client.get(), false, "localhost"));
    wire.Send(StrCat("GET /in HTTP/1.1\r\nHost: ", authority, "\r\nConnection: close\r\n\r\n"));
    return wire.ReadAll();
  };
  Proxy refused;  // the host does not know that authority
  std::string answer = ask(refused);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n")) << answer;
  EXPECT_TRUE(Contains(answer, "x509: certificate signed by unknown authority")) << answer;

  std::shared_ptr<SSL_CTX> upstream = Trusting((*other)->pem());
  std::swap(Shared().upstream, upstream);
  Proxy proxy;
  EXPECT_TRUE(ask(proxy).ends_with("hello"));
  std::swap(Shared().upstream, upstream);
  ASSERT_EQ(proxy.capture().Materials().size(), 1U);
  EXPECT_EQ(proxy.capture().Materials()[0].url, StrCat("https://", authority, "/in"));
}

TEST(ProxyServer, CertificatesAreForAddressesToo) {
  auto client = Trusting(Shared().authority->pem());
  Proxy proxy;
  Wire wire = proxy.Connect();
  wire.Send("CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n");
  wire.ReadTo("\r\n\r\n");
  SSL_CTX_set_verify(client.get(), SSL_VERIFY_PEER, nullptr);
  X509_VERIFY_PARAM_set1_ip_asc(SSL_CTX_get0_param(client.get()), "127.0.0.1");
  EXPECT_TRUE(wire.Handshake(client.get(), false));
  // One per host, as long as it is good.
  auto first = Shared().authority->ServerFor("127.0.0.1");
  auto second = Shared().authority->ServerFor("127.0.0.1");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->get(), second->get());
}

size_t Threads() { return ListDir("/proc/self/task").value_or({}).size(); }

TEST(ProxyServer, NothingIsLeftOfIt) {
  std::mutex mutex;
  std::condition_variable changed;
  bool asked = false;
  Origin origin([&](Wire& wire, int) {
    wire.ReadTo("\r\n\r\n");
    wire.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    {
      std::lock_guard lock(mutex);
      asked = true;
      changed.notify_all();
    }
    EXPECT_EQ(wire.ReadAll(), "");  // until the proxy hangs up
  });
  const size_t threads = Threads();
  const size_t files = ListDir("/proc/self/fd")->size();
  auto capture = std::make_shared<ProxyCapture>();
  {
    Proxy proxy;
    Wire waiting = proxy.Connect();
    Wire wire = proxy.Connect();
    wire.Send(Get(origin.Url("/")));
    EXPECT_TRUE(wire.ReadTo("half").ends_with("half"));
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return asked; });
    lock.unlock();
    EXPECT_GT(Threads(), threads);
    proxy.Stop();
    EXPECT_EQ(wire.ReadAll(), "");
    EXPECT_EQ(waiting.ReadAll(), "");
    ASSERT_EQ(proxy.capture().Gaps().size(), 1U);
    EXPECT_EQ(proxy.capture().Gaps()[0].reason, "body_read_failed");
  }
  // The origin's thread for the connection ends by itself, its socket with the origin.
  EXPECT_LE(Threads(), threads + 1);
  EXPECT_LE(ListDir("/proc/self/fd")->size(), files + 1);
}

TEST(ProxyServer, DoesNotWaitForAPolicyThatThinks) {
  struct Held {
    std::mutex mutex;
    std::condition_variable changed;
    bool inside = false, go = false;
  };
  auto held = std::make_shared<Held>();
  Proxy proxy([held](const std::string& url) -> StatusOr<PolicyAnswer> {
    std::unique_lock lock(held->mutex);
    held->inside = true;
    held->changed.notify_all();
    held->changed.wait(lock, [&] { return held->go; });
    return PolicyAnswer{url};
  });
  Wire wire = proxy.Connect();
  wire.Send(Get("http://127.0.0.1:1/"));
  std::unique_lock lock(held->mutex);
  held->changed.wait(lock, [&] { return held->inside; });
  lock.unlock();
  proxy.Stop();  // returns, though nobody has said yes or no
  EXPECT_EQ(wire.ReadAll(), "");
  lock.lock();
  held->go = true;
  held->changed.notify_all();
}

}  // namespace
}  // namespace kiln::worker::proxy
