#include "worker/proxy/relay.h"

#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/write.hpp>
#include <vector>

namespace kiln::worker::proxy {

template <bool kRequest>
asio::awaitable<RelayEnd> Relay(AnyStream& from, beast::flat_buffer& buffer,
                                beast::http::parser<kRequest, beast::http::buffer_body>& parser,
                                AnyStream& to, std::function<void(std::string_view)> piece) {
  namespace http = boost::beast::http;
  constexpr size_t kPiece = 64 << 10;
  RelayEnd end;
  http::serializer<kRequest, http::buffer_body> out(parser.get());
  if (parser.is_done()) {
    if (piece) piece({});
    auto [error, sent] = co_await http::async_write_header(to, out, kTuple);
    end.write = error;
    co_return end;
  }
  auto& body = parser.get().body();
  body.data = nullptr;
  body.size = 0;
  body.more = true;
  // At once: the body may take its time.
  auto [header_error, header_size] = co_await http::async_write_header(to, out, kTuple);
  end.write = header_error;
  buffer.reserve(kPiece);  // as much as Beast then reads at a time
  std::vector<char> bytes(kPiece);
  while (end.ok() && !out.is_done()) {
    body.data = bytes.data();
    body.size = bytes.size();
    auto [error, got] = co_await http::async_read_some(from, buffer, parser, kTuple);
    if (error && error != http::error::need_buffer) {
      end.read = error;
      break;
    }
    body.size = bytes.size() - body.size;
    body.data = body.size == 0 ? nullptr : bytes.data();
    body.more = !parser.is_done();
    if (piece && body.size > 0) piece({bytes.data(), body.size});
    // A chunk of no bytes would be the last one.
    if (body.size == 0 && body.more) continue;
    if (piece && !body.more) piece({});
    auto [write_error, sent] = co_await http::async_write(to, out, kTuple);
    if (write_error == http::error::need_buffer) continue;
    if (write_error != http::error::end_of_stream) end.write = write_error;
  }
  co_return end;
}

template asio::awaitable<RelayEnd> Relay<true>(
    AnyStream&, beast::flat_buffer&, beast::http::request_parser<beast::http::buffer_body>&,
    AnyStream&, std::function<void(std::string_view)>);
template asio::awaitable<RelayEnd> Relay<false>(
    AnyStream&, beast::flat_buffer&, beast::http::response_parser<beast::http::buffer_body>&,
    AnyStream&, std::function<void(std::string_view)>);

}  // namespace kiln::worker::proxy
