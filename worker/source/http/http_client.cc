#include "worker/source/http/http_client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <chrono>

#include <zlib.h>

#include "base/digest.h"
#include "base/strings.h"

namespace kiln::worker {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr int kMaxRedirects = 10;
constexpr std::chrono::seconds kConnectTimeout{30};
constexpr std::chrono::seconds kIdleTimeout{60};
constexpr std::chrono::milliseconds kStopCheck{100};

using PlainStream = beast::tcp_stream;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;
using Body = std::function<Status(std::string_view)>;

// Runs asynchronous operations one by one, so that each can be given up.
class Runner {
 public:
  explicit Runner(std::stop_token stop) : stop_(std::move(stop)) {}
  asio::io_context& io() { return io_; }

  template <typename Start, typename Cancel>
  error_code Await(const Start& start, const Cancel& cancel) {
    error_code result;
    bool done = false;
    start([&](error_code ec, auto&&...) {
      result = ec;
      done = true;
    });
    bool cancelled = false;
    while (!done) {
      io_.restart();
      io_.run_for(kStopCheck);
      if (stop_.stop_requested() && !cancelled) {
        cancelled = true;
        cancel();
      }
    }
    return result;
  }
  bool stopped() const { return stop_.stop_requested(); }

 private:
  asio::io_context io_;
  std::stop_token stop_;
};

Status Failure(const HttpRequest& request, std::string_view what, const error_code& ec) {
  return UnavailableError(StrCat(request.method == "GET" ? "Get " : "Head ", Quote(request.url),
                                 ": ", what, ec == beast::error::timeout
                                           ? std::string("i/o timeout")
                                           : ToLower(ec.message())));
}

http::request<http::empty_body> WireRequest(const HttpRequest& request, const Url& url) {
  http::request<http::empty_body> wire(
      request.method == "HEAD" ? http::verb::head : http::verb::get,
      url.path + url.query, 11);
  wire.set(http::field::host, url.authority());
  // Go's client asks for it unless told otherwise; servers give such answers other etags.
  wire.set(http::field::accept_encoding, "gzip");
  for (const auto& [name, value] : request.headers) wire.set(name, value);
  wire.set(http::field::connection, "close");
  return wire;
}

// Undoes the transfer's gzip, members one after the other.
class Gunzip {
 public:
  explicit Gunzip(const Body& out) : out_(out) { inflateInit2(&stream_, 15 + 16); }
  ~Gunzip() { inflateEnd(&stream_); }
  Gunzip(const Gunzip&) = delete;

  Status Write(std::string_view bytes) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    char chunk[65536];
    while (stream_.avail_in > 0) {
      if (ended_) inflateReset(&stream_);
      stream_.next_out = reinterpret_cast<Bytef*>(chunk);
      stream_.avail_out = sizeof chunk;
      int result = inflate(&stream_, Z_NO_FLUSH);
      if (result != Z_OK && result != Z_STREAM_END) return DataLossError("gzip: invalid data");
      ended_ = result == Z_STREAM_END;
      RETURN_IF_ERROR(out_({chunk, sizeof chunk - stream_.avail_out}));
    }
    return OkStatus();
  }
  Status Finish() const { return ended_ ? OkStatus() : DataLossError("unexpected EOF"); }

 private:
  const Body& out_;
  z_stream stream_ = {};
  bool ended_ = false;
};

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

template <typename Stream>
StatusOr<HttpResponse> Exchange(Runner& runner, Stream& stream, const HttpRequest& request,
                                const Url& url, const Body& body) {
  beast::tcp_stream& tcp = beast::get_lowest_layer(stream);
  auto cancel = [&] { tcp.cancel(); };
  auto wire = WireRequest(request, url);
  tcp.expires_after(kIdleTimeout);
  error_code ec =
      runner.Await([&](auto handler) { http::async_write(stream, wire, handler); }, cancel);
  if (ec) return Failure(request, "write: ", ec);

  beast::flat_buffer buffer;
  http::response_parser<http::buffer_body> parser;
  parser.body_limit(boost::none);
  parser.skip(request.method == "HEAD");
  ec = runner.Await(
      [&](auto handler) { http::async_read_header(stream, buffer, parser, handler); }, cancel);
  if (ec) return Failure(request, "read: ", ec);
  HttpResponse response;
  response.status = parser.get().result_int();
  for (const auto& field : parser.get()) {
    response.headers[ToLower({field.name_string().data(), field.name_string().size()})] =
        std::string(field.value());
  }
  const bool wanted = response.status / 100 == 2 && body != nullptr;
  std::optional<Gunzip> gunzip;
  if (wanted && ToLower(response.header("content-encoding")) == "gzip") gunzip.emplace(body);
  char chunk[65536];
  if (wanted) buffer.reserve(sizeof chunk);  // as much as Beast then reads at a time
  while (wanted && !parser.is_done()) {
    parser.get().body().data = chunk;
    parser.get().body().size = sizeof chunk;
    tcp.expires_after(kIdleTimeout);
    ec = runner.Await([&](auto handler) { http::async_read(stream, buffer, parser, handler); },
                      cancel);
    if (ec && ec != http::error::need_buffer) return Failure(request, "read: ", ec);
    std::string_view bytes(chunk, sizeof chunk - parser.get().body().size);
    RETURN_IF_ERROR(gunzip ? gunzip->Write(bytes) : body(bytes));
  }
  if (gunzip) RETURN_IF_ERROR(gunzip->Finish());
  return response;
}

Status Connect(Runner& runner, beast::tcp_stream& tcp, const HttpRequest& request,
               const Url& url) {
  asio::ip::tcp::resolver resolver(runner.io());
  asio::ip::tcp::resolver::results_type addresses;
  error_code ec = runner.Await(
      [&](auto handler) {
        resolver.async_resolve(url.host, url.port,
                               [&addresses, handler](error_code e, auto results) mutable {
                                 addresses = std::move(results);
                                 handler(e);
                               });
      },
      [&] { resolver.cancel(); });
  if (ec) return Failure(request, StrCat("dial tcp: lookup ", url.host, ": "), ec);
  tcp.expires_after(kConnectTimeout);
  ec = runner.Await([&](auto handler) { tcp.async_connect(addresses, handler); },
                    [&] { tcp.cancel(); });
  if (ec) {
    return Failure(request, StrCat("dial tcp ", url.host, ":", url.port, ": connect: "), ec);
  }
  return OkStatus();
}

StatusOr<HttpResponse> FetchPlain(Runner& runner, const HttpRequest& request, const Url& url,
                                  const Body& body) {
  PlainStream stream(runner.io());
  RETURN_IF_ERROR(Connect(runner, stream, request, url));
  return Exchange(runner, stream, request, url, body);
}

StatusOr<HttpResponse> FetchTls(Runner& runner, const HttpRequest& request, const Url& url,
                                const Body& body) {
  asio::ssl::context context(asio::ssl::context::tls_client);
  error_code ec;
  context.set_default_verify_paths(ec);
  context.set_verify_mode(asio::ssl::verify_peer, ec);
  TlsStream stream(runner.io(), context);
  SSL_set_tlsext_host_name(stream.native_handle(), url.host.c_str());
  stream.set_verify_callback(asio::ssl::host_name_verification(url.host), ec);
  RETURN_IF_ERROR(Connect(runner, beast::get_lowest_layer(stream), request, url));
  beast::get_lowest_layer(stream).expires_after(kConnectTimeout);
  ec = runner.Await(
      [&](auto handler) { stream.async_handshake(asio::ssl::stream_base::client, handler); },
      [&] { beast::get_lowest_layer(stream).cancel(); });
  if (ec) return Failure(request, "tls: ", ec);
  return Exchange(runner, stream, request, url, body);
}

std::string JoinUrl(const Url& base, std::string_view location) {
  if (Contains(location, "://")) return std::string(location);
  std::string origin = StrCat(base.scheme, "://", base.authority());
  if (location.starts_with("//")) return StrCat(base.scheme, ":", location);
  if (location.starts_with('/')) return StrCat(origin, location);
  return StrCat(origin, base.path.substr(0, base.path.rfind('/') + 1), location);
}

StatusOr<HttpResponse> Fetch(HttpRequest request, const Body& body, Runner& runner) {
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    ASSIGN_OR_RETURN(Url url, ParseUrl(request.url));
    ASSIGN_OR_RETURN(HttpResponse response, url.scheme == "https"
                                                ? FetchTls(runner, request, url, body)
                                                : FetchPlain(runner, request, url, body));
    std::string location = response.header("location");
    if (!IsRedirect(response.status) || location.empty()) return response;
    request.url = JoinUrl(url, location);
    ASSIGN_OR_RETURN(Url next, ParseUrl(request.url));
    if (next.host != url.host) request.headers.erase("Authorization");
  }
  return FailedPreconditionError(
      StrCat("Get ", Quote(request.url), ": stopped after 10 redirects"));
}

}  // namespace

std::string Url::authority() const {
  std::string name = Contains(host, ":") ? StrCat("[", host, "]") : host;
  bool usual = port == (scheme == "https" ? "443" : "80");
  return usual ? name : StrCat(name, ":", port);
}

StatusOr<Url> ParseUrl(std::string_view text) {
  Url url;
  std::string_view scheme, rest;
  if (!StrCut(text, "://", &scheme, &rest) || (scheme != "http" && scheme != "https")) {
    return InvalidArgumentError(StrCat("unsupported protocol scheme in ", Quote(text)));
  }
  url.scheme = std::string(scheme);
  rest = rest.substr(0, rest.find('#'));
  size_t end = rest.find_first_of("/?");
  std::string_view authority = rest.substr(0, end);
  std::string_view target = end == std::string_view::npos ? "" : rest.substr(end);
  if (size_t at = authority.rfind('@'); at != std::string_view::npos) {
    authority.remove_prefix(at + 1);
  }
  size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    url.port = std::string(authority.substr(colon + 1));
    authority = authority.substr(0, colon);
  }
  url.host = std::string(TrimSuffix(TrimPrefix(authority, "["), "]"));
  if (url.port.empty()) url.port = scheme == "https" ? "443" : "80";
  if (url.host.empty()) return InvalidArgumentError(StrCat("no host in request URL ", text));
  // Nothing that could start a header line of its own.
  for (char c : target) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) {
      return InvalidArgumentError("net/url: invalid control character in URL");
    }
  }
  size_t query = target.find('?');
  url.path = std::string(target.substr(0, query));
  if (url.path.empty()) url.path = "/";
  if (query != std::string_view::npos) url.query = std::string(target.substr(query));
  return url;
}

std::string PercentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    StatusOr<std::string> byte = text[i] == '%' && i + 2 < text.size()
                                     ? HexDecode(text.substr(i + 1, 2))
                                     : StatusOr<std::string>(UnknownError("no escape"));
    if (byte.ok()) {
      out += *byte;
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string HttpResponse::header(const std::string& lower_name) const {
  auto found = headers.find(lower_name);
  return found == headers.end() ? "" : found->second;
}

StatusOr<HttpResponse> HttpFetch(const HttpRequest& request,
                                 const std::function<Status(std::string_view)>& body,
                                 std::stop_token stop) {
  Runner runner(std::move(stop));
  StatusOr<HttpResponse> response = Fetch(request, body, runner);
  if (!response.ok() && runner.stopped()) return CancelledError("context canceled");
  return response;
}

}  // namespace kiln::worker
