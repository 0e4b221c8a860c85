#include "oci/testing/http_server.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <limits>
#include <mutex>
#include <thread>

#include "base/strings.h"

namespace kiln::oci::testing {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

ServedRequest Plain(const http::request<http::string_body>& request) {
  ServedRequest plain;
  plain.method = std::string(request.method_string());
  plain.target = std::string(request.target());
  plain.body = request.body();
  for (const auto& field : request) {
    plain.headers[ToLower(field.name_string())] = std::string(field.value());
  }
  return plain;
}

}  // namespace

struct HttpServer::State {
  explicit State(std::function<ServedAnswer(const ServedRequest&)> function)
      : answer(std::move(function)), acceptor(io, {asio::ip::address_v4::loopback(), 0}) {}

  void Run() {
    while (!ending) {
      boost::system::error_code error;
      asio::ip::tcp::socket socket(io);
      acceptor.accept(socket, error);
      if (!error && !ending) Serve(socket);
    }
  }

  void Serve(asio::ip::tcp::socket& socket) {
    boost::system::error_code error;
    beast::flat_buffer buffer;
    http::request_parser<http::string_body> parser;
    parser.body_limit(std::numeric_limits<uint64_t>::max());
    http::read(socket, buffer, parser, error);
    if (error) return;
    const ServedRequest request = Plain(parser.get());
    {
      std::lock_guard lock(mutex);
      log.push_back(StrCat(request.method, " ", request.target));
    }
    ServedAnswer plain = answer(request);
    http::response<http::string_body> out{static_cast<http::status>(plain.status), 11};
    out.body() = std::move(plain.body);
    for (const auto& [name, value] : plain.headers) out.set(name, value);
    out.keep_alive(false);
    if (!out.has_content_length()) out.prepare_payload();
    http::response_serializer<http::string_body> serializer(out);
    if (request.method == "HEAD") {
      http::write_header(socket, serializer, error);
    } else {
      http::write(socket, serializer, error);
    }
    socket.shutdown(asio::ip::tcp::socket::shutdown_both, error);
  }

  const std::function<ServedAnswer(const ServedRequest&)> answer;
  asio::io_context io;
  asio::ip::tcp::acceptor acceptor;
  std::atomic<bool> ending = false;
  std::mutex mutex;
  std::vector<std::string> log;  // guarded by mutex
  std::thread thread;
};

HttpServer::HttpServer(std::function<ServedAnswer(const ServedRequest&)> answer)
    : state_(std::make_unique<State>(std::move(answer))) {
  state_->thread = std::thread([state = state_.get()] { state->Run(); });
}

HttpServer::~HttpServer() {
  state_->ending = true;
  asio::io_context io;
  asio::ip::tcp::socket wake(io);
  boost::system::error_code ignored;
  wake.connect(state_->acceptor.local_endpoint(), ignored);
  state_->thread.join();
}

std::string HttpServer::host() const {
  return StrCat("127.0.0.1:", state_->acceptor.local_endpoint().port());
}

std::vector<std::string> HttpServer::log() {
  std::lock_guard lock(state_->mutex);
  return state_->log;
}

}  // namespace kiln::oci::testing
