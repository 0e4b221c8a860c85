#include "worker/proxy/proxy_server.h"

#include <openssl/ssl.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <future>
#include <thread>

#include "base/strings.h"
#include "worker/netns/netns.h"
#include "worker/proxy/connection.h"

namespace kiln::worker::proxy {
namespace {

using asio::ip::tcp;

// A step must not be able to use up the descriptors of the daemon.
constexpr int kMaxConnections = 512;
constexpr std::chrono::milliseconds kAcceptPause{50};

}  // namespace

StatusOr<std::unique_ptr<ProxyShared>> ProxyShared::New() {
  auto shared = std::make_unique<ProxyShared>();
  ASSIGN_OR_RETURN(shared->authority, CertificateAuthority::New());
  shared->upstream.reset(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (shared->upstream == nullptr) return InternalError("no TLS client");
  // Without certificates on the host every server is unknown, which its clients are told.
  SSL_CTX_set_default_verify_paths(shared->upstream.get());
  return shared;
}

struct ProxyServer::State {
  State(ProxyShared& shared, ProxyConfig config) : env{shared, nullptr, std::move(config)} {
    env.gate = std::make_shared<Gate>(io);
  }

  asio::awaitable<void> Accept(tcp::acceptor acceptor);
  asio::awaitable<void> Serve(tcp::socket socket);

  ConnectionEnv env;
  int connections = 0;
  std::thread thread;
  asio::io_context io{1};  // goes first, and all coroutines with it
};

asio::awaitable<void> ProxyServer::State::Accept(tcp::acceptor acceptor) {
  asio::steady_timer pause(io);
  for (;;) {
    auto [error, socket] = co_await acceptor.async_accept(kTuple);
    if (!error) {
      ++connections;
      asio::co_spawn(io, Serve(std::move(socket)), asio::detached);
    }
    while (error || connections >= kMaxConnections) {
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kTuple);
      error = {};
    }
  }
}

asio::awaitable<void> ProxyServer::State::Serve(tcp::socket socket) {
  {
    Connection connection(env, std::move(socket));
    co_await connection.Run();
  }
  --connections;
}

ProxyServer::ProxyServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

StatusOr<std::unique_ptr<ProxyServer>> ProxyServer::Start(ProxyShared& shared, UniqueFd listener,
                                                          UniqueFd egress, ProxyConfig config) {
  auto state = std::make_unique<State>(shared, std::move(config));
  tcp::acceptor acceptor(state->io);
  error_code error;
  acceptor.assign(tcp::v4(), listener.get(), error);
  if (error) return InternalError(StrCat("proxy of a step: ", error.message()));
  listener.Release();
  asio::co_spawn(state->io, state->Accept(std::move(acceptor)), asio::detached);
  std::promise<Status> entered;
  state->thread = std::thread([raw = state.get(), &entered, ns = std::move(egress)] {
    // Sockets are opened on this thread and belong where it is.
    Status status = ns.valid() ? netns::Enter(ns.get()) : OkStatus();
    const bool ok = status.ok();
    entered.set_value(std::move(status));
    if (ok) raw->io.run();
  });
  std::unique_ptr<ProxyServer> server(new ProxyServer(std::move(state)));
  RETURN_IF_ERROR(entered.get_future().get());
  return server;
}

ProxyServer::~ProxyServer() {
  state_->env.gate->Close();
  state_->io.stop();
  if (state_->thread.joinable()) state_->thread.join();
}

}  // namespace kiln::worker::proxy
