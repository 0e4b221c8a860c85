// Addresses as a proxy meets them: targets of requests, redirects, what of them is kept.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "base/url.h"

namespace kiln::worker::proxy {

// The absolute URL of a request. `target` is its request-target (RFC 9112, 3.2), `host` its
// Host header; within a tunnel `tunnel` is the authority that was connected to. An error for
// what cannot be fetched.
StatusOr<Url> RequestUrl(std::string_view target, std::string_view host,
                         std::string_view tunnel);
// The authority of a CONNECT as host and port; the port is 443 unless it says another.
struct Authority {
  std::string host;  // without brackets
  std::string port;
};
StatusOr<Authority> ParseAuthority(std::string_view text);

// "http" is 80, "https" is 443, anything else its own port.
std::string PortOf(const Url& url);
// What to ask the origin for: escaped path and query.
std::string OriginTarget(const Url& url);
// Where the Location header of an answer to `base` leads (RFC 3986, 5.2).
std::string RedirectUrl(const Url& base, std::string_view location);
// As it is logged and kept: credentials hidden, a port that goes without saying left out.
std::string CaptureUrl(std::string_view url);

}  // namespace kiln::worker::proxy
