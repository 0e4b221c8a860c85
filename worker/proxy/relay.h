// Relay: the rest of a message goes from one connection to another, piece by piece.
//
// Internal to worker/proxy: includes Asio and Beast.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <functional>
#include <string_view>

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
                                AnyStream& to, std::function<void(std::string_view)> piece);

// In relay.cc: each takes a compiler long.
extern template asio::awaitable<RelayEnd> Relay<true>(
    AnyStream&, beast::flat_buffer&, beast::http::request_parser<beast::http::buffer_body>&,
    AnyStream&, std::function<void(std::string_view)>);
extern template asio::awaitable<RelayEnd> Relay<false>(
    AnyStream&, beast::flat_buffer&, beast::http::response_parser<beast::http::buffer_body>&,
    AnyStream&, std::function<void(std::string_view)>);

}  // namespace kiln::worker::proxy
