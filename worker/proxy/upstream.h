// Upstream: a connection to the server that a step means.
//
// Internal to worker/proxy: includes Asio and Beast.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <memory>
#include <string>

#include "base/status.h"
#include "base/url.h"
#include "worker/proxy/any_stream.h"
#include "worker/proxy/gate.h"
#include "worker/proxy/proxy_server.h"

namespace kiln::worker::proxy {

struct Upstream {
  explicit Upstream(const asio::any_io_executor& executor) : stream(executor) {}
  std::string key;  // scheme, host and port
  AnyStream stream;
  beast::flat_buffer buffer;
  bool reused = false;  // has answered before
};

std::string UpstreamKey(const Url& url);
// Resolves the name in this process's namespace, where its resolv.conf makes sense; connects
// from the namespace of the calling thread. "dial tcp: lookup x: no such host" and the like.
asio::awaitable<StatusOr<std::unique_ptr<Upstream>>> Connect(ProxyShared& shared,
                                                             std::shared_ptr<Gate> gate, Url url);
std::string NetworkErrorText(const error_code& error);

}  // namespace kiln::worker::proxy
