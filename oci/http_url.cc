// URLs as the registry client needs them.
#include "base/file.h"
#include "base/strings.h"
#include "oci/http_client.h"

namespace kiln::oci {

std::string Url::HostPort() const {
  std::string shown = Contains(host, ":") ? StrCat("[", host, "]") : host;
  return port == (tls ? "443" : "80") ? shown : StrCat(shown, ":", port);
}

std::string Url::Text() const { return StrCat(tls ? "https://" : "http://", HostPort(), path); }

StatusOr<Url> ParseUrl(std::string_view text) {
  Url url;
  if (text.starts_with("https://")) {
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    url.tls = false;
    text.remove_prefix(7);
  } else {
    return InvalidArgumentError(StrCat("unsupported URL ", Quote(text)));
  }
  text = text.substr(0, text.find('#'));
  size_t end = text.find_first_of("/?");
  std::string_view authority = text.substr(0, end);
  url.path = end == std::string_view::npos ? "/" : std::string(text.substr(end));
  if (url.path.front() == '?') url.path.insert(0, "/");
  for (char c : url.path) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') {
      return InvalidArgumentError("invalid character in URL");
    }
  }
  size_t user = authority.rfind('@');
  if (user != std::string_view::npos) authority.remove_prefix(user + 1);
  size_t colon = authority.rfind(':');
  size_t bracket = authority.rfind(']');
  bool has_port = colon != std::string_view::npos &&
                  (bracket == std::string_view::npos || colon > bracket);
  url.port = has_port ? std::string(authority.substr(colon + 1)) : (url.tls ? "443" : "80");
  std::string_view host = has_port ? authority.substr(0, colon) : authority;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  url.host = host;
  uint64_t number = 0;
  if (url.host.empty() || !ParseUint64(url.port, &number) || number > 65535) {
    return InvalidArgumentError(StrCat("invalid URL host ", Quote(authority)));
  }
  return url;
}

StatusOr<Url> ResolveUrl(const Url& base, std::string_view text) {
  if (text.starts_with("http://") || text.starts_with("https://")) return ParseUrl(text);
  if (text.starts_with("//")) return ParseUrl(StrCat(base.tls ? "https:" : "http:", text));
  if (text.starts_with("/")) {
    return ParseUrl(StrCat(base.tls ? "https://" : "http://", base.HostPort(), text));
  }
  std::string_view path = base.path;
  path = path.substr(0, path.find('?'));
  path = path.substr(0, path.rfind('/') + 1);
  return ParseUrl(StrCat(base.tls ? "https://" : "http://", base.HostPort(), path, text));
}

std::string HttpResponse::Header(const std::string& name) const {
  auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

StatusOr<std::string> HttpResponse::ReadBody(size_t limit) {
  return ReadAll([this](std::span<char> buffer) { return Read(buffer); }, limit);
}

}  // namespace kiln::oci
