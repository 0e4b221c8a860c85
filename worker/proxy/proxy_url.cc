#include "worker/proxy/proxy_url.h"

#include "base/strings.h"

namespace kiln::worker::proxy {
namespace {

constexpr size_t kMaxHost = 253;

// What may stand in a certificate, a Host header and a log line.
bool IsHost(std::string_view host) {
  if (host.empty() || host.size() > kMaxHost) return false;
  for (char c : host) {
    bool known = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '.' || c == '-' || c == '_' || c == ':';
    if (!known) return false;
  }
  return true;
}

bool IsPort(std::string_view port) {
  int64_t number = 0;
  return port.size() <= 5 && ParseInt64(port, &number) && number > 0 && number <= 65535;
}

// "a/./b/../c" without its dots (RFC 3986, 5.2.4).
std::string WithoutDots(std::string_view path) {
  std::vector<std::string_view> kept;
  const std::vector<std::string_view> parts = StrSplit(path, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    if (parts[i] == "..") {
      if (kept.size() > 1) kept.pop_back();
      if (last) kept.push_back("");
    } else if (parts[i] != "." || last) {
      kept.push_back(parts[i] == "." ? std::string_view() : parts[i]);
    }
  }
  std::string out;
  for (size_t i = 0; i < kept.size(); ++i) out += StrCat(i == 0 ? "" : "/", kept[i]);
  return out;
}

}  // namespace

StatusOr<Authority> ParseAuthority(std::string_view text) {
  Authority out{std::string(text), "443"};
  const size_t colon = text.rfind(':');
  const bool bracketed = text.starts_with('[');
  if (colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos &&
      (bracketed || text.find(':') == colon)) {
    out.host = std::string(text.substr(0, colon));
    out.port = std::string(text.substr(colon + 1));
  }
  if (bracketed) {
    if (!out.host.ends_with(']')) return InvalidArgumentError("malformed host");
    out.host = out.host.substr(1, out.host.size() - 2);
  }
  if (!IsHost(out.host) || !IsPort(out.port)) return InvalidArgumentError("malformed host");
  return out;
}

StatusOr<Url> RequestUrl(std::string_view target, std::string_view host,
                         std::string_view tunnel) {
  std::string text(target);
  if (target.starts_with('/')) {
    text = tunnel.empty() ? StrCat("http://", host, target) : StrCat("https://", tunnel, target);
  } else if (!tunnel.empty()) {
    return InvalidArgumentError("malformed request target");
  }
  ASSIGN_OR_RETURN(Url url, ParseUrl(text));
  if (url.scheme != "http" && url.scheme != "https") {
    return InvalidArgumentError(StrCat("unsupported protocol scheme ", Quote(url.scheme)));
  }
  if (!IsHost(url.HostName()) || !(url.Port().empty() || IsPort(url.Port()))) {
    return InvalidArgumentError("malformed host");
  }
  return url;
}

std::string PortOf(const Url& url) {
  std::string port = url.Port();
  if (!port.empty()) return port;
  return url.scheme == "https" ? "443" : "80";
}

std::string OriginTarget(const Url& url) {
  std::string path = url.EscapedPath();
  if (path.empty()) path = "/";
  if (!url.raw_query.empty() || url.force_query) path += StrCat("?", url.raw_query);
  return path;
}

std::string RedirectUrl(const Url& base, std::string_view location) {
  if (location.empty()) return "";
  StatusOr<Url> to = ParseUrl(location);
  if (!to.ok()) return std::string(location);
  if (!to->scheme.empty()) return to->ToString();
  std::string_view rest = location.substr(0, location.find('#'));
  const std::string scheme = StrCat(base.scheme, ":");
  if (rest.starts_with("//")) return StrCat(scheme, rest);
  const std::string origin = StrCat(scheme, "//", base.host);
  const std::string_view path = rest.substr(0, rest.find('?'));
  const std::string_view query = rest.substr(path.size());
  std::string own = base.EscapedPath();
  if (path.empty()) return StrCat(origin, own, query);
  if (path.starts_with('/')) return StrCat(origin, WithoutDots(path), query);
  own = own.substr(0, own.rfind('/') + 1);
  if (own.empty()) own = "/";
  return StrCat(origin, WithoutDots(StrCat(own, path)), query);
}

std::string CaptureUrl(std::string_view text) {
  StatusOr<Url> url = ParseUrl(text);
  if (!url.ok()) return std::string(text);
  const std::string port = url->Port();
  if ((url->scheme == "http" && port == "80") || (url->scheme == "https" && port == "443")) {
    const std::string name = url->HostName();
    url->host = Contains(name, ":") ? StrCat("[", name, "]") : name;
  }
  return RedactUrl(url->ToString());
}

}  // namespace kiln::worker::proxy
