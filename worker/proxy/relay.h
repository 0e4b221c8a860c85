// Relay: the rest of a message goes from one connection to another, piece by piece.
//
// Internal to worker/proxy: includes Asio and Beast.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/write.hpp>
#include <functional>
#include <string_view>
#include <vector>

#include "worker/proxy/any_stream.h"

namespace kiln::worker::proxy {

struct RelayEnd {
  error_code read;
  error_code write;
  bool ok() const { return !read && !write; }
};

// Takes fields that are about the one connection only (RFC 9110, 7.6.1) out of a message.
template <typename Fields>
void DropConnectionFields(Fields& fields) {
  namespace http = boost::beast::http;
  const std::string named(fields[http::field::connection]);
  for (auto token : http::token_list(named)) fields.erase(token);
  for (http::field field :
       {http::field::connection, http::field::keep_alive, http::field::proxy_authenticate,
        http::field::proxy_authorization, http::field::proxy_connection, http::field::te,
        http::field::trailer, http::field::transfer_encoding, http::field::upgrade}) {
    fields.erase(field);
  }
}

// The header is in `parser`, as it is to be sent. `piece` sees the body; it is told of the
// end by an empty one, before the last bytes are sent: who has got them may be gone at once.
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

}  // namespace kiln::worker::proxy
