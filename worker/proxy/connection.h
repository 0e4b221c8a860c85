// Connection: what a step sends over one connection to its proxy, request by request.
//
// Internal to worker/proxy: includes Asio and Beast.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <memory>
#include <string>

#include "base/status.h"
#include "base/url.h"
#include "worker/proxy/any_stream.h"
#include "worker/proxy/gate.h"
#include "worker/proxy/proxy_config.h"
#include "worker/proxy/proxy_server.h"
#include "worker/proxy/recording.h"
#include "worker/proxy/upstream.h"

namespace kiln::worker::proxy {

namespace http = boost::beast::http;

// What all connections of a step share. Outlives them.
struct ConnectionEnv {
  ProxyShared& shared;
  std::shared_ptr<Gate> gate;
  ProxyConfig config;
};

// Lives in one coroutine, on the thread of its io_context.
class Connection {
 public:
  Connection(ConnectionEnv& env, asio::ip::tcp::socket socket);
  // Until one side ends it.
  asio::awaitable<void> Run();

 private:
  using RequestParser = http::request_parser<http::buffer_body>;
  using ResponseParser = http::response_parser<http::buffer_body>;

  // Those that tell whether the connection goes on return true if it does.
  asio::awaitable<bool> ReadRequest(RequestParser& parser);
  asio::awaitable<bool> Tunnel(std::string target);
  asio::awaitable<bool> Exchange(RequestParser& parser);
  asio::awaitable<bool> Deliver(ResponseParser& answer, bool keep, unsigned version,
                                Recording& recording);

  asio::awaitable<StatusOr<Url>> Check(std::string method, Url url);
  asio::awaitable<Status> Reach(const Url& url);
  asio::awaitable<Status> Send(RequestParser& parser);
  asio::awaitable<Status> ReadAnswer(std::unique_ptr<ResponseParser>& answer, bool no_body);
  asio::awaitable<Status> Ask(RequestParser& parser, const Url& url,
                              std::unique_ptr<ResponseParser>& answer);
  asio::awaitable<void> Refuse(unsigned status, std::string text);
  asio::awaitable<void> Close();

  ConnectionEnv& env_;
  AnyStream stream_;
  beast::flat_buffer buffer_;
  std::string tunnel_;  // the authority of the tunnel, once there is one
  std::unique_ptr<Upstream> upstream_;
};

}  // namespace kiln::worker::proxy
