// Connections on Boost.Beast, one io_context each, driven by the calling thread so that
// every step has a time limit and can be stopped. See http_client.h.
#include "oci/http_client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <cstdlib>
#include <mutex>

#include "base/strings.h"
#include "oci/tls_text.h"

namespace kiln::oci {
namespace {

// What is asked of the socket at a time.
constexpr size_t kReadBytes = 64 << 10;

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using tcp = asio::ip::tcp;
using boost::system::error_code;

constexpr auto kConnectTime = std::chrono::seconds(30);
constexpr auto kSilenceTime = std::chrono::seconds(60);
constexpr size_t kIdlePerHost = 8;

std::string ErrorText(const error_code& error) {
  if (error == http::error::end_of_stream || error == http::error::partial_message ||
      error == asio::error::eof || error == ssl::error::stream_truncated) {
    return "EOF";
  }
  if (error == beast::error::timeout) return "i/o timeout";
  if (error.category() == boost::system::system_category()) return ErrnoText(error.value());
  return error.message();
}

struct Connection {
  std::string key;
  asio::io_context io;
  ssl::context tls_context{ssl::context::tls_client};
  std::optional<beast::tcp_stream> plain;
  std::optional<beast::ssl_stream<beast::tcp_stream>> tls;
  beast::flat_buffer buffer;
  bool reused = false;

  beast::tcp_stream& tcp_layer() { return tls ? tls->next_layer() : *plain; }
  // Runs one operation to its end. `start` is given the stream and a handler.
  template <typename Start>
  error_code Run(std::chrono::seconds limit, Start start) {
    error_code result = asio::error::operation_aborted;
    tcp_layer().expires_after(limit);
    auto done = [&result](error_code error, auto...) { result = error; };
    if (tls) {
      start(*tls, done);
    } else {
      start(*plain, done);
    }
    io.restart();
    io.run();
    return result;
  }
};

// Ends what the connection waits for when the build is cancelled.
class StopGuard {
 public:
  StopGuard(Connection& connection, const std::stop_token& stop)
      : callback_(stop, [&connection] {
          asio::post(connection.io, [&connection] {
            error_code ignored;
            connection.tcp_layer().socket().close(ignored);
          });
        }) {}

 private:
  std::stop_callback<std::function<void()>> callback_;
};

// The proxy for a URL, as Go's ProxyFromEnvironment chooses it.
std::optional<Url> ProxyFor(const Url& url) {
  auto env = [](const char* upper, const char* lower) {
    const char* value = std::getenv(upper);
    if (value == nullptr || *value == '\0') value = std::getenv(lower);
    return std::string(value == nullptr ? "" : value);
  };
  std::string proxy = url.tls ? env("HTTPS_PROXY", "https_proxy") : env("HTTP_PROXY", "http_proxy");
  if (proxy.empty() || url.host == "localhost" || url.host.starts_with("127.") ||
      url.host == "::1") {
    return std::nullopt;
  }
  std::string none = env("NO_PROXY", "no_proxy");
  for (std::string_view part : StrSplit(none, ',')) {
    part = TrimSpace(part);
    if (part == "*") return std::nullopt;
    if (part.empty()) continue;
    part = part.substr(0, part.find(':'));
    std::string_view bare = TrimPrefix(part, ".");
    if (url.host == bare || url.host.ends_with(StrCat(".", bare))) return std::nullopt;
  }
  if (!Contains(proxy, "://")) proxy.insert(0, "http://");
  StatusOr<Url> parsed = ParseUrl(proxy);
  return parsed.ok() ? std::optional<Url>(*parsed) : std::nullopt;
}

std::string ShowEndpoint(const tcp::endpoint& endpoint) {
  std::string address = endpoint.address().to_string();
  return endpoint.address().is_v6() ? StrCat("[", address, "]:", endpoint.port())
                                    : StrCat(address, ":", endpoint.port());
}

Status Dial(Connection& connection, const Url& to) {
  error_code error;
  tcp::resolver resolver(connection.io);
  auto found = resolver.resolve(to.host, to.port, error);
  if (error) {
    return UnavailableError(StrCat("dial tcp: lookup ", to.host, ": no such host"));
  }
  Status first;
  for (const auto& entry : found) {
    connection.plain.emplace(connection.io);
    error = connection.Run(kConnectTime, [&](auto& stream, auto done) {
      beast::get_lowest_layer(stream).async_connect(entry.endpoint(), done);
    });
    if (!error) {
      error_code ignored;
      connection.plain->socket().set_option(tcp::no_delay(true), ignored);
      return OkStatus();
    }
    if (first.ok()) {
      first = UnavailableError(StrCat("dial tcp ", ShowEndpoint(entry.endpoint()), ": ",
                                      error == beast::error::timeout ? "" : "connect: ",
                                      ErrorText(error)));
    }
  }
  return first;
}

// CONNECT through an HTTP proxy.
Status Tunnel(Connection& connection, const Url& to) {
  std::string target = StrCat(to.host, ":", to.port);
  http::request<http::empty_body> request{http::verb::connect, target, 11};
  request.set(http::field::host, target);
  http::response_parser<http::empty_body> parser;
  parser.skip(true);
  error_code error = connection.Run(kSilenceTime, [&](auto& stream, auto done) {
    http::async_write(stream, request, done);
  });
  if (!error) {
    error = connection.Run(kSilenceTime, [&](auto& stream, auto done) {
      http::async_read_header(stream, connection.buffer, parser, done);
    });
  }
  if (error) return UnavailableError(StrCat("proxyconnect tcp: ", ErrorText(error)));
  if (parser.get().result_int() != 200) {
    return UnavailableError(StrCat("proxyconnect tcp: ", std::string(parser.get().reason())));
  }
  return OkStatus();
}

Status StartTls(Connection& connection, const Url& to, const TlsOptions& options) {
  error_code error;
  ssl::context& context = connection.tls_context;
  context.set_default_verify_paths(error);
  for (const std::string& file : options.ca_files) {
    context.load_verify_file(file, error);
    if (error) return InvalidArgumentError(StrCat("failed to load ", file, ": ", error.message()));
  }
  for (const auto& [certificate, key] : options.key_pairs) {
    context.use_certificate_chain_file(certificate, error);
    if (!error) context.use_private_key_file(key, ssl::context::pem, error);
    if (error) {
      return InvalidArgumentError(
          StrCat("failed to load keypair for ", certificate, ": ", error.message()));
    }
  }
  beast::tcp_stream raw = std::move(*connection.plain);
  connection.plain.reset();
  connection.tls.emplace(std::move(raw), context);
  SSL_set_tlsext_host_name(connection.tls->native_handle(), to.host.c_str());
  connection.tls->set_verify_mode(options.skip_verify ? ssl::verify_none : ssl::verify_peer);
  if (!options.skip_verify) {
    connection.tls->set_verify_callback(ssl::host_name_verification(to.host));
  }
  error = asio::error::operation_aborted;
  connection.tcp_layer().expires_after(kConnectTime);
  connection.tls->async_handshake(ssl::stream_base::client,
                                  [&error](error_code result) { error = result; });
  connection.io.restart();
  connection.io.run();
  if (!error) return OkStatus();
  if (connection.buffer.size() == 0 && Contains(error.message(), "wrong version number")) {
    return UnavailableError("http: server gave HTTP response to HTTPS client");
  }
  long verify = SSL_get_verify_result(connection.tls->native_handle());
  if (verify != X509_V_OK) {
    return UnavailableError(
        StrCat("tls: failed to verify certificate: ", CertificateFault(verify)));
  }
  return UnavailableError(StrCat("tls: ", ErrorText(error)));
}

}  // namespace

struct HttpClient::Pool {
  std::mutex mutex;
  std::map<std::string, std::vector<std::unique_ptr<Connection>>> idle;

  std::unique_ptr<Connection> Take(const std::string& key) {
    std::lock_guard lock(mutex);
    auto& list = idle[key];
    if (list.empty()) return nullptr;
    auto connection = std::move(list.back());
    list.pop_back();
    connection->reused = true;
    return connection;
  }
  void Give(std::unique_ptr<Connection> connection) {
    std::lock_guard lock(mutex);
    auto& list = idle[connection->key];
    if (list.size() < kIdlePerHost) list.push_back(std::move(connection));
  }
};

namespace {

class Response : public HttpResponse {
 public:
  Response(std::unique_ptr<Connection> connection, std::shared_ptr<HttpClient::Pool> pool,
           const std::stop_token& stop)
      : connection_(std::move(connection)), pool_(std::move(pool)), stop_(stop) {
    parser_.body_limit(boost::none);
  }
  ~Response() override {
    if (connection_ != nullptr && done_ && parser_.keep_alive()) pool_->Give(std::move(connection_));
  }

  Status ReadHead(bool head) {
    parser_.skip(head);
    error_code error = connection_->Run(kSilenceTime, [&](auto& stream, auto done) {
      http::async_read_header(stream, connection_->buffer, parser_, done);
    });
    if (error) return UnavailableError(ErrorText(error));
    const auto& message = parser_.get();
    status = static_cast<int>(message.result_int());
    reason = std::string(message.reason());
    for (const auto& field : message) {
      std::string& value = headers[ToLower(std::string(field.name_string()))];
      if (!value.empty()) value += ", ";
      value += std::string(field.value());
    }
    int64_t length = -1;
    if (ParseInt64(Header("content-length"), &length)) content_length = length;
    done_ = parser_.is_done() || head;
    return OkStatus();
  }

  StatusOr<size_t> Read(std::span<char> out) override {
    if (out.empty()) return size_t{0};
    StopGuard guard(*connection_, stop_);
    // Beast reads as much at a time as there is room for, and a head needs only little.
    connection_->buffer.reserve(kReadBytes);
    while (!done_) {
      auto& body = parser_.get().body();
      body.data = out.data();
      body.size = out.size();
      error_code error = connection_->Run(kSilenceTime, [&](auto& stream, auto done) {
        http::async_read_some(stream, connection_->buffer, parser_, done);
      });
      size_t count = out.size() - body.size;
      body.data = nullptr;
      done_ = parser_.is_done();
      bool more_room_needed = error == http::error::need_buffer;
      if (error && !more_room_needed) {
        if (stop_.stop_requested()) return CancelledError("context canceled");
        return DataLossError(ErrorText(error) == "EOF" ? "unexpected EOF" : ErrorText(error));
      }
      if (count > 0) return count;
    }
    return size_t{0};
  }

 private:
  std::unique_ptr<Connection> connection_;
  std::shared_ptr<HttpClient::Pool> pool_;
  std::stop_token stop_;
  http::response_parser<http::buffer_body> parser_;
  bool done_ = false;
};

StatusOr<std::unique_ptr<Connection>> Connect(const HttpRequest& request,
                                              const std::optional<Url>& proxy,
                                              const std::string& key) {
  auto connection = std::make_unique<Connection>();
  connection->key = key;
  RETURN_IF_ERROR(Dial(*connection, proxy ? *proxy : request.url));
  StopGuard guard(*connection, request.stop);
  if (request.url.tls) {
    if (proxy) RETURN_IF_ERROR(Tunnel(*connection, request.url));
    RETURN_IF_ERROR(StartTls(*connection, request.url, request.tls));
  }
  return connection;
}

error_code SendBody(Connection& connection, const HttpRequest& request, Status* source) {
  std::string buffer(128 << 10, '\0');
  int64_t left = request.stream_size;
  while (left > 0) {
    size_t room = static_cast<size_t>(std::min<int64_t>(left, static_cast<int64_t>(buffer.size())));
    StatusOr<size_t> count = request.stream(std::span<char>(buffer).first(room));
    if (!count.ok() || *count == 0) {
      *source = count.ok() ? DataLossError("unexpected EOF") : count.status();
      return asio::error::operation_aborted;
    }
    error_code error = connection.Run(kSilenceTime, [&](auto& stream, auto done) {
      asio::async_write(stream, asio::buffer(buffer.data(), *count), done);
    });
    if (error) return error;
    left -= static_cast<int64_t>(*count);
  }
  return {};
}

error_code Send(Connection& connection, const HttpRequest& request, bool absolute,
                Status* source) {
  http::request<http::string_body> message{http::string_to_verb(request.method),
                                           absolute ? request.url.Text() : request.url.path, 11};
  message.set(http::field::host, request.url.HostPort());
  message.set(http::field::user_agent, "buildkit/v0.32");
  for (const auto& [name, value] : request.headers) message.set(name, value);
  bool has_body = request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  int64_t size = request.stream ? request.stream_size : static_cast<int64_t>(request.body.size());
  if (has_body) message.set(http::field::content_length, std::to_string(size));
  if (!request.stream) message.body() = request.body;
  error_code error = connection.Run(kSilenceTime, [&](auto& stream, auto done) {
    http::async_write(stream, message, done);
  });
  if (!error && request.stream) error = SendBody(connection, request, source);
  return error;
}

}  // namespace

HttpClient::HttpClient() : pool_(std::make_shared<Pool>()) {}
HttpClient::~HttpClient() = default;

StatusOr<std::unique_ptr<HttpResponse>> HttpClient::Do(const HttpRequest& request) {
  std::optional<Url> proxy = ProxyFor(request.url);
  std::string key = StrCat(request.url.tls ? "s" : "p", request.tls.skip_verify ? "i" : "v", "|",
                           request.url.host, ":", request.url.port, "|",
                           proxy ? proxy->HostPort() : "", "|", StrJoin(request.tls.ca_files, ","));
  for (const auto& [certificate, unused] : request.tls.key_pairs) key += StrCat("|", certificate);
  for (;;) {
    if (request.stop.stop_requested()) return CancelledError("context canceled");
    std::unique_ptr<Connection> connection = pool_->Take(key);
    if (connection == nullptr) {
      ASSIGN_OR_RETURN(connection, Connect(request, proxy, key));
    }
    bool reused = connection->reused;
    Connection& raw = *connection;
    auto response = std::make_unique<Response>(std::move(connection), pool_, request.stop);
    StopGuard guard(raw, request.stop);
    Status source;
    error_code error = Send(raw, request, proxy.has_value() && !request.url.tls, &source);
    if (!source.ok()) return source;
    // A server may answer and close before it has read the body.
    Status head = response->ReadHead(request.method == "HEAD");
    if (head.ok()) return std::unique_ptr<HttpResponse>(std::move(response));
    if (request.stop.stop_requested()) return CancelledError("context canceled");
    // An idle connection that the server closed meanwhile: once more, on a new one. Silence
    // is something else, and would be borne once for each idle connection.
    const bool silent = (error ? ErrorText(error) : head.message()) == "i/o timeout";
    bool again = reused && !request.stream && !silent;
    if (!again) return error ? UnavailableError(ErrorText(error)) : head;
  }
}

}  // namespace kiln::oci
