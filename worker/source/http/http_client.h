// HttpFetch: one GET or HEAD over HTTP/1.1, with TLS, redirects and time limits.
//
// For sources; the registry client has its own. Beast stays in the .cc.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln::worker {

struct Url {
  std::string scheme;  // http or https
  std::string host;    // without brackets
  std::string port;    // "80" and "443" filled in
  std::string path;    // as written, with a slash in front
  std::string query;   // with its question mark, or ""
  std::string authority() const;  // host and, unless it is the usual one, port
};
// INVALID_ARGUMENT for what is no absolute http(s) URL.
StatusOr<Url> ParseUrl(std::string_view text);
// "%41" → "A"; what is no escape stays.
std::string PercentDecode(std::string_view text);

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::map<std::string, std::string> headers = {};
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers = {};  // names in lower case
  std::string header(const std::string& lower_name) const;
};

// Follows up to ten redirects (Authorization stays with its host). The body of the
// last answer goes to `body` piece by piece if its status is 2xx. Blocks;
// a stop request closes the connection within a tenth of a second.
StatusOr<HttpResponse> HttpFetch(const HttpRequest& request,
                                 const std::function<Status(std::string_view)>& body,
                                 std::stop_token stop);

}  // namespace kiln::worker
