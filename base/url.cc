// Splitting and joining URLs, in the order in which Go's parser looks at them.
#include "base/url.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/strings.h"
#include "base/url_escape.h"

namespace kiln {

namespace {

using internal::UrlEscape;
using internal::UrlPart;
using internal::UrlUnescape;

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return (static_cast<unsigned char>(c) < ' ') || c == 0x7F; });
}

bool IsLetter(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Cuts "scheme:" off; leaves `rest` whole if there is none.
Status TakeScheme(std::string_view* rest, std::string* scheme) {
  for (size_t i = 0; i < rest->size(); ++i) {
    const char c = (*rest)[i];
    if (IsLetter(c)) continue;
    if (c == ':') {
      if (i == 0) return UnknownError("missing protocol scheme");
      *scheme = ToLower(rest->substr(0, i));
      rest->remove_prefix(i + 1);
      return OkStatus();
    }
    const bool inner = IsDigit(c) || c == '+' || c == '-' || c == '.';
    if (!inner || i == 0) return OkStatus();
  }
  return OkStatus();
}

bool IsOptionalPort(std::string_view text) {
  return text.empty() || (text[0] == ':' && std::all_of(text.begin() + 1, text.end(), IsDigit));
}

Status CheckPort(std::string_view text) {
  if (IsOptionalPort(text)) return OkStatus();
  return UnknownError(StrCat("invalid port ", Quote(text), " after host"));
}

StatusOr<std::string> ReadIpLiteral(std::string_view host) {
  const size_t close = host.rfind(']');
  if (close == std::string_view::npos) return UnknownError("missing ']' in host");
  RETURN_IF_ERROR(CheckPort(host.substr(close + 1)));
  const std::string_view inner = host.substr(1, close - 1);
  const size_t zone_at = std::min(inner.find("%25"), inner.size());
  ASSIGN_OR_RETURN(std::string address, UrlUnescape(inner.substr(0, zone_at), UrlPart::kHost));
  ASSIGN_OR_RETURN(std::string zone, UrlUnescape(inner.substr(zone_at), UrlPart::kZone));
  in6_addr parsed;
  if (::inet_pton(AF_INET6, address.c_str(), &parsed) != 1) {
    in_addr v4;
    if (::inet_pton(AF_INET, address.c_str(), &v4) == 1) return UnknownError("invalid IP-literal");
    return UnknownError(
        StrCat("invalid host: ParseAddr(", Quote(address + zone), "): unable to parse IP"));
  }
  return StrCat("[", address, zone, "]", host.substr(close + 1));
}

StatusOr<std::string> ReadHost(std::string_view scheme, std::string_view host) {
  const size_t bracket = host.rfind('[');
  if (bracket == 0) return ReadIpLiteral(host);
  if (bracket != std::string_view::npos) return UnknownError("invalid IP-literal");
  // Several colons are let pass where lists of hosts have been in use.
  const bool strict = scheme == "http" || scheme == "https";
  const size_t colon = strict ? host.find(':') : host.rfind(':');
  if (colon != std::string_view::npos) RETURN_IF_ERROR(CheckPort(host.substr(colon)));
  return UrlUnescape(host, UrlPart::kHost);
}

bool IsUserInfo(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return IsLetter(c) || IsDigit(c) ||
           std::string_view("-._:~!$&'()*+,;=%@").find(c) != std::string_view::npos;
  });
}

Status ReadAuthority(std::string_view authority, Url* url) {
  const size_t at = authority.rfind('@');
  const bool has_user = at != std::string_view::npos;
  ASSIGN_OR_RETURN(url->host,
                   ReadHost(url->scheme, has_user ? authority.substr(at + 1) : authority));
  if (!has_user) return OkStatus();
  const std::string_view info = authority.substr(0, at);
  if (!IsUserInfo(info)) return UnknownError("net/url: invalid userinfo");
  std::string_view name;
  std::string_view password;
  const bool has_password = StrCut(info, ":", &name, &password);
  ASSIGN_OR_RETURN(url->user, UrlUnescape(name, UrlPart::kUser));
  if (has_password) {
    ASSIGN_OR_RETURN(url->password, UrlUnescape(password, UrlPart::kUser));
  }
  return OkStatus();
}

Status ReadHierarchy(std::string_view rest, Url* url) {
  if (rest.starts_with("//") && (!url->scheme.empty() || !rest.starts_with("///"))) {
    std::string_view authority = rest.substr(2);
    const size_t slash = std::min(authority.find('/'), authority.size());
    rest = authority.substr(slash);
    RETURN_IF_ERROR(ReadAuthority(authority.substr(0, slash), url));
  } else if (!url->scheme.empty() && rest.starts_with('/')) {
    url->omit_host = true;
  }
  ASSIGN_OR_RETURN(url->path, UrlUnescape(rest, UrlPart::kPath));
  if (UrlEscape(url->path, UrlPart::kPath) != rest) url->raw_path = rest;
  return OkStatus();
}

Status ReadUrl(std::string_view text, Url* url) {
  if (HasControl(text)) return UnknownError("net/url: invalid control character in URL");
  if (text == "*") {
    url->path = "*";
    return OkStatus();
  }
  std::string_view rest = text;
  RETURN_IF_ERROR(TakeScheme(&rest, &url->scheme));
  std::string_view query;
  if (StrCut(rest, "?", &rest, &query)) {
    url->raw_query = query;
    url->force_query = query.empty();
  }
  if (!rest.starts_with('/')) {
    if (!url->scheme.empty()) {
      url->opaque = rest;
      return OkStatus();
    }
    if (rest.substr(0, rest.find('/')).find(':') != std::string_view::npos) {
      return UnknownError("first path segment in URL cannot contain colon");
    }
  }
  return ReadHierarchy(rest, url);
}

// Whether `text` could have been written by hand as an encoded part.
bool IsEncoded(std::string_view text, UrlPart part) {
  return std::all_of(text.begin(), text.end(), [part](char c) {
    return std::string_view("!$&'()*+,;=:@[]%").find(c) != std::string_view::npos ||
           !internal::UrlMustEscape(c, part);
  });
}

// The raw form if it still stands for `decoded`, else the usual encoding.
std::string Escaped(const std::string& raw, const std::string& decoded, UrlPart part) {
  if (!raw.empty() && IsEncoded(raw, part)) {
    const StatusOr<std::string> again = UrlUnescape(raw, part);
    if (again.ok() && *again == decoded) return raw;
  }
  return UrlEscape(decoded, part);
}

}  // namespace

StatusOr<Url> ParseUrl(std::string_view text) {
  std::string_view main;
  std::string_view fragment;
  StrCut(text, "#", &main, &fragment);
  Url url;
  if (Status status = ReadUrl(main, &url); !status.ok()) {
    return Annotate(status, StrCat("parse ", Quote(main)));
  }
  StatusOr<std::string> decoded = UrlUnescape(fragment, UrlPart::kFragment);
  if (!decoded.ok()) return Annotate(decoded.status(), StrCat("parse ", Quote(text)));
  url.fragment = *decoded;
  if (UrlEscape(url.fragment, UrlPart::kFragment) != fragment) url.raw_fragment = fragment;
  return url;
}

std::string RedactUrl(std::string_view text) {
  constexpr std::string_view kMask = "xxxxx";
  StatusOr<Url> url = ParseUrl(text);
  if (!url.ok()) return std::string(text);
  if (url->user && !url->user->empty()) url->user = std::string(kMask);
  if (url->password) url->password = std::string(kMask);
  return url->ToString();
}

std::string Url::EscapedPath() const {
  if (raw_path.empty() && path == "*") return "*";
  return Escaped(raw_path, path, UrlPart::kPath);
}

std::string Url::ToString() const {
  std::string out;
  if (!scheme.empty()) out = scheme + ":";
  if (!opaque.empty()) {
    out += opaque;
  } else {
    const bool authority = !host.empty() || user.has_value();
    if (authority || (!scheme.empty() && !omit_host && !path.empty())) out += "//";
    if (user.has_value()) {
      out += UrlEscape(*user, UrlPart::kUser);
      if (password.has_value()) out += ":" + UrlEscape(*password, UrlPart::kUser);
      out += "@";
    }
    out += UrlEscape(host, UrlPart::kHost);
    const std::string escaped = EscapedPath();
    if (!escaped.empty() && escaped[0] != '/' && !host.empty()) out += "/";
    // "a:b" alone would read as a scheme.
    if (out.empty() && escaped.substr(0, escaped.find('/')).find(':') != std::string::npos) {
      out += "./";
    }
    out += escaped;
  }
  if (force_query || !raw_query.empty()) out += "?" + raw_query;
  if (!fragment.empty()) out += "#" + Escaped(raw_fragment, fragment, UrlPart::kFragment);
  return out;
}

std::string Url::HostName() const {
  if (host.starts_with('[')) return host.substr(1, host.rfind(']') - 1);
  const size_t colon = host.rfind(':');
  return colon != std::string::npos && IsOptionalPort(std::string_view(host).substr(colon))
             ? host.substr(0, colon)
             : host;
}

std::string Url::Port() const {
  const size_t colon = host.rfind(':');
  if (colon == std::string::npos) return "";
  const std::string_view rest = std::string_view(host).substr(colon);
  return IsOptionalPort(rest) ? std::string(rest.substr(1)) : "";
}

UrlQuery ParseUrlQuery(std::string_view query) {
  UrlQuery values;
  for (std::string_view pair : StrSplit(query, '&')) {
    if (pair.empty() || pair.find(';') != std::string_view::npos) continue;
    std::string_view key;
    std::string_view value;
    StrCut(pair, "=", &key, &value);
    StatusOr<std::string> name = UrlQueryUnescape(key);
    StatusOr<std::string> text = UrlQueryUnescape(value);
    if (name.ok() && text.ok()) values[*std::move(name)].push_back(*std::move(text));
  }
  return values;
}

std::string EncodeUrlQuery(const UrlQuery& query) {
  std::vector<std::string> pairs;
  for (const auto& [key, values] : query) {
    for (const std::string& value : values) {
      pairs.push_back(StrCat(UrlQueryEscape(key), "=", UrlQueryEscape(value)));
    }
  }
  return StrJoin(pairs, "&");
}

}  // namespace kiln
