// Boost.Beast on a socket that listen.h made; each step of a connection has a time limit.
#include "cmd/buildkitd/debug_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <mutex>

#include "base/log.h"
#include "base/strings.h"
#include "cmd/buildkitd/listen.h"

namespace kiln::buildkitd {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Stream = beast::basic_stream<asio::generic::stream_protocol>;

constexpr std::chrono::seconds kRequestTime{60};
constexpr uint64_t kMostBody = 16 << 20;

StatusOr<UniqueFd> ListenAt(const std::string& address, std::string* path) {
  std::string_view scheme, rest;
  if (!StrCut(address, "://", &scheme, &rest)) {
    scheme = "tcp";
    rest = address;
  }
  if (scheme == "unix") {
    *path = rest;
    return ListenUnix(*path, getuid(), getgid());
  }
  if (scheme == "tcp") return ListenTcp(std::string(rest));
  return InvalidArgumentError(StrCat("addr ", address, " not supported"));
}

void ServeOne(UniqueFd fd, const std::function<DebugAnswer(std::string_view, std::string_view)>& ask) {
  asio::io_context io;
  Stream stream(io);
  error_code error;
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &length);
  stream.socket().assign(asio::generic::stream_protocol(name.ss_family, 0), fd.Release(), error);
  if (error) return;
  beast::flat_buffer buffer;
  http::request_parser<http::string_body> parser;
  parser.body_limit(kMostBody);
  auto done = [&error](error_code result, size_t) { error = result; };
  stream.expires_after(kRequestTime);
  http::async_read(stream, buffer, parser, done);
  io.run();
  if (error) return;
  DebugAnswer answer = ask(std::string_view(parser.get().method_string()),
                           std::string_view(parser.get().target()));
  http::response<http::string_body> response(http::int_to_status(answer.status), 11);
  response.set(http::field::content_type, answer.type);
  response.set("X-Content-Type-Options", "nosniff");
  response.keep_alive(false);
  response.body() = std::move(answer.body);
  response.prepare_payload();
  stream.expires_after(kRequestTime);
  http::async_write(stream, response, done);
  io.restart();
  io.run();
  stream.socket().shutdown(asio::socket_base::shutdown_both, error);
}

}  // namespace

struct DebugServer::State {
  UniqueFd socket;
  UniqueFd wake{eventfd(0, EFD_CLOEXEC)};
  std::string path;  // of a unix socket, removed at the end
  std::mutex mutex;
  DebugSources sources;

  DebugAnswer Answer(std::string_view method, std::string_view target) {
    // Held while figures are gathered, so that Forget waits for them.
    std::lock_guard lock(mutex);
    return AnswerDebugRequest(method, target, sources);
  }
  void Loop() {
    while (true) {
      pollfd wait[2] = {{socket.get(), POLLIN, 0}, {wake.get(), POLLIN, 0}};
      if (poll(wait, 2, -1) < 0 && errno != EINTR) return;
      if (wait[1].revents != 0) return;
      UniqueFd fd(accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd.valid()) continue;
      try {
        ServeOne(std::move(fd), [this](std::string_view method, std::string_view target) {
          return Answer(method, target);
        });
      } catch (const std::exception& error) {
        log::Warning(StrCat("debug request failed: ", error.what()));
      }
    }
  }
};

DebugServer::DebugServer() : state_(std::make_unique<State>()) {}

StatusOr<std::unique_ptr<DebugServer>> DebugServer::Open(const std::string& address) {
  std::unique_ptr<DebugServer> server(new DebugServer);
  State& state = *server->state_;
  ASSIGN_OR_RETURN(state.socket, ListenAt(address, &state.path));
  if (fcntl(state.socket.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoStatus(errno, "fcntl");
  server->thread_ = std::thread([&state] { state.Loop(); });
  log::Debug(StrCat("debug handlers listening at ", address));
  return server;
}

DebugServer::~DebugServer() {
  eventfd_write(state_->wake.get(), 1);
  if (thread_.joinable()) thread_.join();
  if (!state_->path.empty()) unlink(state_->path.c_str());
}

void DebugServer::Show(DebugSources sources) {
  std::lock_guard lock(state_->mutex);
  state_->sources = std::move(sources);
}

void DebugServer::Forget() { Show({}); }

}  // namespace kiln::buildkitd
