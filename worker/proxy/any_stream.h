// AnyStream: a TCP connection, plain or under TLS, that Beast can read and write.
//
// Internal to worker/proxy: includes Asio and Beast.
#pragma once

#include <openssl/ssl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <optional>

namespace kiln::worker::proxy {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;

// Errors come back as values.
inline constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

class AnyStream {
 public:
  using executor_type = beast::tcp_stream::executor_type;

  explicit AnyStream(asio::ip::tcp::socket socket) : plain_(std::in_place, std::move(socket)) {}
  explicit AnyStream(const asio::any_io_executor& executor) : plain_(std::in_place, executor) {}

  executor_type get_executor() { return tcp().get_executor(); }
  beast::tcp_stream& tcp() { return tls_ ? tls_->next_layer() : *plain_; }
  // The TLS layer, which is there after StartTls.
  beast::ssl_stream<beast::tcp_stream>& tls() { return *tls_; }
  bool has_tls() const { return tls_.has_value(); }

  // The handshake is the caller's.
  void StartTls(SSL_CTX* settings) {
    SSL_CTX_up_ref(settings);
    asio::ssl::context context(settings);
    beast::tcp_stream below = std::move(*plain_);
    plain_.reset();
    tls_.emplace(std::move(below), context);
  }

  template <typename Buffers, typename Handler>
  auto async_read_some(const Buffers& buffers, Handler&& handler) {
    if (tls_) return tls_->async_read_some(buffers, std::forward<Handler>(handler));
    return plain_->async_read_some(buffers, std::forward<Handler>(handler));
  }
  template <typename Buffers, typename Handler>
  auto async_write_some(const Buffers& buffers, Handler&& handler) {
    if (tls_) return tls_->async_write_some(buffers, std::forward<Handler>(handler));
    return plain_->async_write_some(buffers, std::forward<Handler>(handler));
  }

 private:
  std::optional<beast::tcp_stream> plain_;
  std::optional<beast::ssl_stream<beast::tcp_stream>> tls_;
};

}  // namespace kiln::worker::proxy
