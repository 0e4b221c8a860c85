// Which characters each part of a URL may hold as they are.
#include "base/url_escape.h"

#include <cctype>

#include "base/strings.h"
#include "base/url.h"

namespace kiln {

namespace internal {

namespace {

bool Among(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

bool IsHexDigit(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }

int HexValue(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

char HexByte(std::string_view escape) {
  return static_cast<char>(HexValue(escape[1]) << 4 | HexValue(escape[2]));
}

Status BadEscape(std::string_view text) {
  return UnknownError(StrCat("invalid URL escape ", Quote(text.substr(0, 3))));
}

// `escape` starts with '%'.
Status CheckEscape(std::string_view escape, UrlPart part) {
  if (escape.size() < 3 || !IsHexDigit(escape[1]) || !IsHexDigit(escape[2])) {
    return BadEscape(escape);
  }
  const std::string_view three = escape.substr(0, 3);
  const char byte = HexByte(escape);
  if (part == UrlPart::kHost && (byte & 0x80) == 0 && three != "%25") return BadEscape(three);
  if (part == UrlPart::kZone && three != "%25" && byte != ' ' &&
      UrlMustEscape(byte, UrlPart::kHost)) {
    return BadEscape(three);
  }
  return OkStatus();
}

}  // namespace

bool UrlMustEscape(char c, UrlPart part) {
  if ((c & 0x80) == 0 && std::isalnum(static_cast<unsigned char>(c)) != 0) return false;
  if (Among(c, "-_.~")) return false;
  switch (part) {
    case UrlPart::kPath:
      return !Among(c, "$&+,/:;=@");
    case UrlPart::kPathSegment:
      return !Among(c, "$&+:=@");
    case UrlPart::kHost:
    case UrlPart::kZone:
      return !Among(c, "!$&'()*+,;=:[]<>\"");
    case UrlPart::kUser:
      return !Among(c, "$&+,;=");
    case UrlPart::kQuery:
      return true;
    case UrlPart::kFragment:
      return !Among(c, "$&+,/:;=?@!()*");
  }
  return true;
}

std::string UrlEscape(std::string_view text, UrlPart part) {
  std::string out;
  for (char c : text) {
    if (!UrlMustEscape(c, part)) {
      out += c;
    } else if (c == ' ' && part == UrlPart::kQuery) {
      out += '+';
    } else {
      constexpr std::string_view kHex = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

StatusOr<std::string> UrlUnescape(std::string_view text, UrlPart part) {
  const bool in_host = part == UrlPart::kHost || part == UrlPart::kZone;
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '%') {
      RETURN_IF_ERROR(CheckEscape(text.substr(i), part));
      out += HexByte(text.substr(i));
      i += 2;
    } else if (c == '+' && part == UrlPart::kQuery) {
      out += ' ';
    } else if (in_host && (c & 0x80) == 0 && UrlMustEscape(c, part)) {
      return UnknownError(StrCat("invalid character ", Quote(text.substr(i, 1)), " in host name"));
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace internal

std::string UrlQueryEscape(std::string_view text) {
  return internal::UrlEscape(text, internal::UrlPart::kQuery);
}
std::string UrlPathEscape(std::string_view text) {
  return internal::UrlEscape(text, internal::UrlPart::kPathSegment);
}
StatusOr<std::string> UrlQueryUnescape(std::string_view text) {
  return internal::UrlUnescape(text, internal::UrlPart::kQuery);
}
StatusOr<std::string> UrlPathUnescape(std::string_view text) {
  return internal::UrlUnescape(text, internal::UrlPart::kPathSegment);
}

}  // namespace kiln
