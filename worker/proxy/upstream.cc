#include "worker/proxy/upstream.h"

#include <netdb.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/http/error.hpp>
#include <vector>

#include "base/strings.h"
#include "oci/tls_text.h"
#include "worker/proxy/proxy_url.h"

namespace kiln::worker::proxy {
namespace {

using asio::ip::tcp;
using Endpoints = std::vector<tcp::endpoint>;

constexpr unsigned char kHttp1[] = "\x08http/1.1";

StatusOr<Endpoints> Lookup(const std::string& host, const std::string& port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) {
    const bool unknown = error == EAI_NONAME || error == EAI_NODATA;
    return UnavailableError(StrCat("dial tcp: lookup ", host, ": ",
                                   unknown ? "no such host" : ::gai_strerror(error)));
  }
  Endpoints endpoints;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    tcp::endpoint endpoint;
    if (entry->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), entry->ai_addr, entry->ai_addrlen);
    endpoint.resize(entry->ai_addrlen);
    endpoints.push_back(endpoint);
  }
  ::freeaddrinfo(found);
  return endpoints;
}

asio::awaitable<StatusOr<Endpoints>> Resolve(ProxyShared& shared, std::shared_ptr<Gate> gate,
                                             std::string host, std::string port) {
  error_code no_address;
  auto address = asio::ip::make_address(host, no_address);
  int64_t number = 0;
  if (!no_address && ParseInt64(port, &number)) {
    co_return Endpoints{tcp::endpoint(address, static_cast<uint16_t>(number))};
  }
  std::function<StatusOr<Endpoints>()> work = [host, port] { return Lookup(host, port); };
  co_return co_await RunOn<StatusOr<Endpoints>>(shared.lookups, std::move(gate), std::move(work));
}

std::string Show(const tcp::endpoint& endpoint) {
  std::string address = endpoint.address().to_string();
  if (endpoint.address().is_v6()) address = StrCat("[", address, "]");
  return StrCat(address, ":", endpoint.port());
}

asio::awaitable<Status> ConnectTo(beast::tcp_stream& stream, Endpoints endpoints) {
  Status last = UnavailableError("dial tcp: no address");
  for (const tcp::endpoint& endpoint : endpoints) {
    auto [error] = co_await stream.async_connect(endpoint, kTuple);
    if (!error) {
      error_code ignored;
      stream.socket().set_option(tcp::no_delay(true), ignored);
      co_return OkStatus();
    }
    last = UnavailableError(
        StrCat("dial tcp ", Show(endpoint), ": connect: ", NetworkErrorText(error)));
    error_code ignored;
    stream.socket().close(ignored);
  }
  co_return last;
}

asio::awaitable<Status> Handshake(AnyStream& stream, SSL_CTX* settings, std::string host) {
  stream.StartTls(settings);
  SSL* ssl = stream.tls().native_handle();
  error_code no_address;
  asio::ip::make_address(host, no_address);
  if (no_address) SSL_set_tlsext_host_name(ssl, host.c_str());
  SSL_set_alpn_protos(ssl, kHttp1, sizeof kHttp1 - 1);
  stream.tls().set_verify_mode(asio::ssl::verify_peer);
  stream.tls().set_verify_callback(asio::ssl::host_name_verification(host));
  auto [error] = co_await stream.tls().async_handshake(asio::ssl::stream_base::client, kTuple);
  if (!error) co_return OkStatus();
  const long verify = SSL_get_verify_result(ssl);
  if (verify != X509_V_OK) {
    co_return UnavailableError(
        StrCat("tls: failed to verify certificate: ", oci::CertificateFault(verify)));
  }
  co_return UnavailableError(StrCat("tls: ", NetworkErrorText(error)));
}

}  // namespace

std::string NetworkErrorText(const error_code& error) {
  namespace http = boost::beast::http;
  if (error == asio::error::eof || error == asio::ssl::error::stream_truncated ||
      error == http::error::end_of_stream || error == http::error::partial_message) {
    return "EOF";
  }
  if (error.category() == boost::system::system_category()) return ErrnoText(error.value());
  return error.message();
}

std::string UpstreamKey(const Url& url) {
  return StrCat(url.scheme, "://", url.HostName(), "|", PortOf(url));
}

asio::awaitable<StatusOr<std::unique_ptr<Upstream>>> Connect(ProxyShared& shared,
                                                             std::shared_ptr<Gate> gate, Url url) {
  StatusOr<Endpoints> endpoints =
      co_await Resolve(shared, std::move(gate), url.HostName(), PortOf(url));
  if (!endpoints.ok()) co_return endpoints.status();
  auto executor = co_await asio::this_coro::executor;
  auto upstream = std::make_unique<Upstream>(executor);
  upstream->key = UpstreamKey(url);
  Status status = co_await ConnectTo(upstream->stream.tcp(), *std::move(endpoints));
  if (status.ok() && url.scheme == "https") {
    status = co_await Handshake(upstream->stream, shared.upstream.get(), url.HostName());
  }
  if (!status.ok()) co_return status;
  co_return std::move(upstream);
}

}  // namespace kiln::worker::proxy
