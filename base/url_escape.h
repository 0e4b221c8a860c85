// Percent-encoding of URL parts. Private to base/url.cc and base/url_escape.cc.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln::internal {

enum class UrlPart { kPath, kPathSegment, kHost, kZone, kUser, kQuery, kFragment };

bool UrlMustEscape(char c, UrlPart part);
std::string UrlEscape(std::string_view text, UrlPart part);
// UNKNOWN `invalid URL escape "%z"`, `invalid character " " in host name`.
StatusOr<std::string> UrlUnescape(std::string_view text, UrlPart part);

}  // namespace kiln::internal
