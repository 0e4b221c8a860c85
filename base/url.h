// Url: a URL as Go's net/url reads and writes it, error texts included.
//
// Text only: nothing is resolved or fetched.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln {

// Values of a query by key, in order of appearance.
using UrlQuery = std::map<std::string, std::vector<std::string>>;

// A plain value. Parts are decoded unless they say otherwise.
struct Url {
  std::string scheme = {};  // lower case
  std::string opaque = {};  // "scheme:opaque", encoded
  std::optional<std::string> user = {};
  std::optional<std::string> password = {};
  std::string host = {};  // with port
  std::string path = {};
  std::string raw_path = {};   // encoded; only if the usual encoding differs
  std::string raw_query = {};  // encoded
  std::string fragment = {};
  std::string raw_fragment = {};
  bool force_query = false;  // "?" without a query
  bool omit_host = false;    // "scheme:/path"

  std::string ToString() const;
  std::string EscapedPath() const;
  // Host without port and brackets; port without colon.
  std::string HostName() const;
  std::string Port() const;
};

// UNKNOWN `parse "…": …` in Go's words.
StatusOr<Url> ParseUrl(std::string_view text);

// The URL with user and password as "xxxxx"; what is no URL stays as it is.
std::string RedactUrl(std::string_view text);

// Bad pairs are left out, as Go's URL.Query does.
UrlQuery ParseUrlQuery(std::string_view query);
std::string EncodeUrlQuery(const UrlQuery& query);  // sorted by key

// Go's QueryEscape (blank → '+') and PathEscape.
std::string UrlQueryEscape(std::string_view text);
std::string UrlPathEscape(std::string_view text);
StatusOr<std::string> UrlQueryUnescape(std::string_view text);
StatusOr<std::string> UrlPathUnescape(std::string_view text);

}  // namespace kiln
