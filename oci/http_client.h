// HTTP client for registries: requests out, bodies in as streams.
//
// Keeps idle connections per host, speaks TLS and goes through proxies (from the
// environment). Redirects, retries and credentials are oci/registry.h's business.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "oci/stream.h"

namespace kiln::oci {

// How to speak TLS with one host.
struct TlsOptions {
  bool skip_verify = false;
  std::vector<std::string> ca_files = {};
  std::vector<std::pair<std::string, std::string>> key_pairs = {};  // certificate, key
};

struct Url {
  bool tls = true;
  std::string host;   // without port; no brackets
  std::string port;
  std::string path;   // with query, starts with a slash
  std::string HostPort() const;   // as in a Host header: default ports are left out
  std::string Text() const;
};
// Absolute http and https URLs; INVALID_ARGUMENT.
StatusOr<Url> ParseUrl(std::string_view text);
// `text` may be relative to `base`.
StatusOr<Url> ResolveUrl(const Url& base, std::string_view text);

struct HttpRequest {
  std::string method = "GET";
  Url url = {};
  std::map<std::string, std::string> headers = {};
  std::string body = {};          // sent as it is, or:
  ReadFn stream = {};             // `stream_size` bytes from here
  int64_t stream_size = 0;
  TlsOptions tls = {};
  std::stop_token stop = {};
};

// The head of an answer, and its body as it comes. One thread. Dropping it before the end
// closes the connection.
class HttpResponse {
 public:
  virtual ~HttpResponse() = default;
  int status = 0;
  std::string reason;
  std::map<std::string, std::string> headers;  // lower-case names; repeats joined by ", "
  int64_t content_length = -1;                 // -1: unknown
  // 0 at the end; DATA_LOSS "unexpected EOF" if the body is cut off.
  virtual StatusOr<size_t> Read(std::span<char> buffer) = 0;
  std::string Header(const std::string& name) const;
  // The whole body; RESOURCE_EXHAUSTED above `limit`.
  StatusOr<std::string> ReadBody(size_t limit);
};

// Thread-safe. Blocking, with time limits on connecting and on silence.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  // UNAVAILABLE with Go's words if there is no connection ("dial tcp …: connect: …").
  StatusOr<std::unique_ptr<HttpResponse>> Do(const HttpRequest& request);

  struct Pool;

 private:
  std::shared_ptr<Pool> pool_;
};

}  // namespace kiln::oci
