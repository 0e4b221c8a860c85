#include "worker/proxy/connection.h"

#include <boost/asio/write.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <chrono>

#include "base/log.h"
#include "base/strings.h"
#include "worker/proxy/proxy_url.h"
#include "worker/proxy/relay.h"

namespace kiln::worker::proxy {
namespace {

constexpr uint32_t kMaxHeader = 1 << 20;
constexpr std::chrono::seconds kHeaderTime{30};
constexpr std::chrono::seconds kHandshakeTime{30};
constexpr std::chrono::seconds kCloseTime{1};
constexpr size_t kReadAhead = 16 << 10;

asio::awaitable<error_code> WriteText(AnyStream& stream, std::string text) {
  auto [error, sent] = co_await asio::async_write(stream, asio::buffer(text), kTuple);
  co_return error;
}

std::string FieldText(boost::beast::string_view text) { return {text.data(), text.size()}; }

bool IsHttpError(const error_code& error) {
  return error.category() == make_error_code(http::error::bad_version).category();
}

Status NetworkError(const error_code& error) {
  return UnavailableError(NetworkErrorText(error));
}

}  // namespace

Connection::Connection(ConnectionEnv& env, asio::ip::tcp::socket socket)
    : env_(env), stream_(std::move(socket)) {}

asio::awaitable<void> Connection::Run() {
  for (bool more = true; more;) {
    RequestParser parser;
    more = co_await ReadRequest(parser);
    if (!more) break;
    const bool connect = parser.get().method() == http::verb::connect;
    more = connect && tunnel_.empty()
               ? co_await Tunnel(FieldText(parser.get().target()))
               : co_await Exchange(parser);
  }
  co_await Close();
}

asio::awaitable<bool> Connection::ReadRequest(RequestParser& parser) {
  parser.header_limit(kMaxHeader);
  parser.body_limit(boost::none);
  // The next request may come whenever it likes, but not slowly.
  stream_.tcp().expires_never();
  if (buffer_.size() == 0) {
    auto [error, got] = co_await stream_.async_read_some(buffer_.prepare(kReadAhead), kTuple);
    if (error) co_return false;
    buffer_.commit(got);
  }
  stream_.tcp().expires_after(kHeaderTime);
  auto [error, got] = co_await http::async_read_header(stream_, buffer_, parser, kTuple);
  stream_.tcp().expires_never();
  if (!error) co_return true;
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    co_await Refuse(431, "Request Header Fields Too Large");
  } else if (IsHttpError(error) && error != http::error::end_of_stream &&
             error != http::error::partial_message) {
    co_await Refuse(400, "Bad Request");
  }
  co_return false;
}

// From here on the step speaks TLS, and we are the server that it asked for.
asio::awaitable<bool> Connection::Tunnel(std::string target) {
  StatusOr<Authority> authority = ParseAuthority(target);
  if (!authority.ok()) {
    co_await Refuse(400, "Bad Request");
    co_return false;
  }
  auto server = env_.shared.authority->ServerFor(authority->host);
  if (!server.ok()) {
    log::Error("proxy of a step", {{"error", server.status().message()}});
    co_await Refuse(500, "Internal Server Error");
    co_return false;
  }
  if (co_await WriteText(stream_, "HTTP/1.1 200 Connection Established\r\n\r\n")) co_return false;
  stream_.StartTls(server->get());
  stream_.tcp().expires_after(kHandshakeTime);
  auto [error, used] = co_await stream_.tls().async_handshake(
      asio::ssl::stream_base::server, buffer_.data(), kTuple);
  stream_.tcp().expires_never();
  if (error) co_return false;
  buffer_.consume(used);
  tunnel_ = std::move(target);
  co_return true;
}

// The URL to fetch, which a policy may have replaced; an error if it may not be.
asio::awaitable<StatusOr<Url>> Connection::Check(std::string method, Url url) {
  if (!env_.config.policy) co_return url;
  const std::string asked = RedactUrl(url.ToString());
  std::function<StatusOr<PolicyAnswer>()> work = [policy = env_.config.policy, asked] {
    return policy(asked);
  };
  StatusOr<PolicyAnswer> answer = co_await RunOn<StatusOr<PolicyAnswer>>(
      env_.shared.policies, env_.gate, std::move(work));
  if (!answer.ok()) co_return answer.status();
  if (answer->url == asked && !answer->has_attrs) co_return url;
  const std::string changed = StrCat("source policy converted proxy request ", Quote(asked));
  if (method != "GET") {
    co_return FailedPreconditionError(
        StrCat(changed, ", but conversion is only supported for GET"));
  }
  if (answer->has_attrs) {
    co_return FailedPreconditionError(
        StrCat(changed, " with attrs, but proxy conversion only supports URL updates"));
  }
  co_return RequestUrl(answer->url, "", "");
}

asio::awaitable<bool> Connection::Exchange(RequestParser& parser) {
  auto& request = parser.get();
  std::string method = FieldText(request.method_string());
  StatusOr<Url> url =
      RequestUrl(FieldText(request.target()), FieldText(request[http::field::host]), tunnel_);
  if (!url.ok() || request.method() == http::verb::connect) {
    co_await Refuse(400, "Bad Request");
    co_return false;
  }
  StatusOr<Url> allowed = co_await Check(method, *url);
  if (!allowed.ok()) {
    log::Debug("proxy request denied", {{"error", allowed.status().message()}});
    co_await Refuse(403, "Forbidden");
    co_return false;
  }
  const bool same_host = allowed->host == url->host;
  const bool keep = request.keep_alive();
  const unsigned version = request.version();
  Recording recording(env_.config.capture, method, allowed->ToString(),
                      request.count(http::field::range) > 0);
  const bool has_body = !parser.is_done();
  const bool chunked = parser.chunked();
  if (ToLower(FieldText(request[http::field::expect])) == "100-continue" && has_body) {
    if (co_await WriteText(stream_, "HTTP/1.1 100 Continue\r\n\r\n")) co_return false;
  }
  DropConnectionFields(request);
  request.erase(http::field::accept_encoding);
  request.erase(http::field::expect);
  request.version(11);
  request.target(OriginTarget(*allowed));
  if (tunnel_.empty() || !same_host || request.count(http::field::host) == 0) {
    request.set(http::field::host, allowed->host);
  }
  if (chunked) request.chunked(true);

  std::unique_ptr<ResponseParser> answer;
  Status asked = co_await Ask(parser, *allowed, answer);
  if (!asked.ok()) {
    recording.NoAnswer();
    upstream_.reset();
    co_await Refuse(502, asked.message());
    co_return false;
  }
  recording.Answer(static_cast<int>(answer->get().result_int()),
                   RedirectUrl(*allowed, FieldText(answer->get()[http::field::location])));
  co_return co_await Deliver(*answer, keep && parser.is_done(), version, recording);
}

asio::awaitable<Status> Connection::Reach(const Url& url) {
  if (upstream_ != nullptr && upstream_->key == UpstreamKey(url)) {
    upstream_->reused = true;
    co_return OkStatus();
  }
  upstream_.reset();
  auto connected = co_await Connect(env_.shared, env_.gate, url);
  if (!connected.ok()) co_return connected.status();
  upstream_ = *std::move(connected);
  co_return OkStatus();
}

asio::awaitable<Status> Connection::Send(RequestParser& parser) {
  RelayEnd end = co_await Relay<true>(stream_, buffer_, parser, upstream_->stream, {});
  if (end.read) co_return CancelledError("the step has gone");
  // A server that has answered already may not want the rest.
  co_return end.write && !parser.is_done() ? OkStatus()
            : end.write                    ? NetworkError(end.write)
                                           : OkStatus();
}

asio::awaitable<Status> Connection::ReadAnswer(std::unique_ptr<ResponseParser>& answer,
                                               bool no_body) {
  for (;;) {
    answer = std::make_unique<ResponseParser>();
    answer->header_limit(kMaxHeader);
    answer->body_limit(boost::none);
    answer->skip(no_body);
    auto [error, got] =
        co_await http::async_read_header(upstream_->stream, upstream_->buffer, *answer, kTuple);
    if (error) co_return NetworkError(error);
    // 100, 103: more will follow.
    if (answer->get().result_int() / 100 != 1) co_return OkStatus();
  }
}

// A connection that was used before may have been closed by the server meanwhile; what can be
// sent again is.
asio::awaitable<Status> Connection::Ask(RequestParser& parser, const Url& url,
                                        std::unique_ptr<ResponseParser>& answer) {
  const bool again_possible = parser.is_done();
  const bool head = parser.get().method() == http::verb::head;
  for (;;) {
    Status status = co_await Reach(url);
    if (!status.ok()) co_return status;
    status = co_await Send(parser);
    if (status.ok()) status = co_await ReadAnswer(answer, head);
    if (status.ok() || !upstream_->reused || !again_possible) co_return status;
    upstream_.reset();
  }
}

asio::awaitable<bool> Connection::Deliver(ResponseParser& answer, bool keep, unsigned version,
                                          Recording& recording) {
  auto& response = answer.get();
  const bool reusable = response.keep_alive() && !answer.need_eof();
  const bool known_length = answer.is_done() || answer.content_length().has_value();
  DropConnectionFields(response);
  response.version(version);
  if (!known_length && version >= 11) response.chunked(true);
  keep = keep && version >= 11;
  response.keep_alive(keep);
  auto piece = [&recording](std::string_view bytes) {
    if (bytes.empty()) {
      recording.Whole();
    } else {
      recording.Piece(bytes);
    }
  };
  RelayEnd end =
      co_await Relay<false>(upstream_->stream, upstream_->buffer, answer, stream_, piece);
  if (!end.ok() || !reusable) upstream_.reset();
  co_return end.ok() && keep;
}

// The last thing that is said.
asio::awaitable<void> Connection::Refuse(unsigned status, std::string text) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(status));
  text += "\n";
  std::string answer = StrCat("HTTP/1.1 ", status, " ", FieldText(reason),
                              "\r\nContent-Type: text/plain; charset=utf-8\r\n"
                              "X-Content-Type-Options: nosniff\r\nConnection: close\r\n"
                              "Content-Length: ", text.size(), "\r\n\r\n", text);
  stream_.tcp().expires_after(kHandshakeTime);
  co_await WriteText(stream_, std::move(answer));
  stream_.tcp().expires_never();
}

// A socket that is closed with something unread takes back what was sent last.
asio::awaitable<void> Connection::Close() {
  stream_.tcp().expires_after(kCloseTime);
  if (stream_.has_tls()) {
    co_await stream_.tls().async_shutdown(kTuple);
  }
  error_code ignored;
  stream_.tcp().socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  buffer_.clear();
  for (size_t total = 0; total < kMaxHeader;) {
    auto [error, got] =
        co_await stream_.tcp().async_read_some(buffer_.prepare(kReadAhead), kTuple);
    if (error) break;
    total += got;
  }
  stream_.tcp().socket().close(ignored);
}

}  // namespace kiln::worker::proxy
