// A shell pattern becomes a regular expression; ends are cut off by matching both
// texts backwards, since only a first match can be made shortest.
#include "frontend/dockerfile/shell_pattern.h"

#include <re2/re2.h>

#include <algorithm>
#include <memory>

#include "base/strings.h"
#include "base/utf8.h"

namespace kiln::dockerfile {

namespace {

std::u32string Runes(std::string_view text) {
  std::u32string runes;
  for (size_t i = 0, length = 0; i < text.size(); i += length) {
    runes += DecodeRune(text.substr(i), &length);
  }
  return runes;
}

std::string Text(const std::u32string& runes) {
  std::string text;
  for (char32_t rune : runes) AppendRune(rune, &text);
  return text;
}

Status InvalidEscape(const std::u32string& pattern, size_t at) {
  const char32_t rune = at < pattern.size() ? pattern[at] : kRuneError;
  std::string text;
  AppendRune(rune, &text);
  return UnknownError(StrCat("invalid escape '\\", text, "'"));
}

// `\}` and `\/` are only escaped because of the substitution around the pattern.
StatusOr<std::string> ToRegexp(const std::u32string& pattern, bool longest, bool anchored) {
  std::string out = anchored ? "^" : "";
  for (size_t i = 0; i < pattern.size(); ++i) {
    char32_t rune = pattern[i];
    if (rune == '*') {
      out += longest ? ".*" : ".*?";
      continue;
    }
    if (rune == '?') {
      out += '.';
      continue;
    }
    if (rune == '\\') {
      ++i;
      if (i < pattern.size() && (pattern[i] == '}' || pattern[i] == '/')) {
        --i;
        continue;
      }
      if (i >= pattern.size() || (pattern[i] != '*' && pattern[i] != '?' && pattern[i] != '\\')) {
        return InvalidEscape(pattern, i);
      }
      rune = pattern[i];
      out += '\\';
    } else if (rune < 0x80 && std::string_view("[]{}.+()|^$").find(static_cast<char>(rune)) !=
                                  std::string_view::npos) {
      out += '\\';
    }
    AppendRune(rune, &out);
  }
  return out;
}

StatusOr<std::shared_ptr<re2::RE2>> Compile(const std::u32string& pattern, bool longest,
                                            bool anchored) {
  const StatusOr<std::string> regexp = ToRegexp(pattern, longest, anchored);
  Status status = regexp.status();
  if (regexp.ok()) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    auto compiled = std::make_shared<re2::RE2>(*regexp, options);
    if (compiled->ok()) return compiled;
    status = UnknownError(compiled->error());
  }
  return Annotate(status, StrCat("invalid pattern (", Text(pattern), ") in substitution"));
}

// Backwards, but an escape stays in front of what it escapes.
std::u32string ReversePattern(const std::u32string& pattern) {
  std::u32string out(pattern.size(), U' ');
  for (size_t i = 0; i < pattern.size(); ++i) {
    const size_t to = pattern.size() - 1 - i;
    if (pattern[i] == '\\' && i + 1 < pattern.size()) {
      out[to - 1] = '\\';
      out[to] = pattern[i + 1];
      ++i;
    } else {
      out[to] = pattern[i];
    }
  }
  return out;
}

std::string Reverse(std::string_view text) {
  std::u32string runes = Runes(text);
  std::reverse(runes.begin(), runes.end());
  return Text(runes);
}

bool IsNameRune(char32_t rune) { return rune == '_' || IsLetterRune(rune) || IsDigitRune(rune); }

// "$name" or "${name}" in a replacement: Go replaces it by the group of that name.
// There are no groups, so only $0 (the match) gives anything. False: no reference.
bool TakeReference(std::string_view* text, std::string_view match, std::string* out) {
  std::string_view rest = text->substr(1);
  const bool braced = rest.starts_with('{');
  if (braced) rest.remove_prefix(1);
  size_t end = 0;
  for (size_t length = 0; end < rest.size(); end += length) {
    if (!IsNameRune(DecodeRune(rest.substr(end), &length))) break;
  }
  if (end == 0 || (braced && !rest.substr(end).starts_with('}'))) return false;
  const std::string_view name = rest.substr(0, end);
  if (name.find_first_not_of('0') == std::string_view::npos) *out += match;
  *text = rest.substr(end + (braced ? 1 : 0));
  return true;
}

void ExpandReplacement(std::string_view text, std::string_view match, std::string* out) {
  while (!text.empty()) {
    const size_t dollar = text.find('$');
    *out += text.substr(0, dollar);
    if (dollar == std::string_view::npos) return;
    text.remove_prefix(dollar);
    if (text.starts_with("$$")) {
      *out += '$';
      text.remove_prefix(2);
    } else if (!TakeReference(&text, match, out)) {
      *out += '$';
      text.remove_prefix(1);
    }
  }
}

constexpr size_t kMaxReplaced = 64 << 20;

StatusOr<std::string> ReplaceAllMatches(const re2::RE2& regexp, const std::string& value,
                              std::string_view replacement) {
  std::string out;
  size_t end = 0;
  size_t from = 0;
  re2::StringPiece found;
  while (from <= value.size() &&
         regexp.Match(value, from, value.size(), re2::RE2::UNANCHORED, &found, 1)) {
    const auto start = static_cast<size_t>(found.data() - value.data());
    out += value.substr(end, start - end);
    if (out.size() > kMaxReplaced) return UnknownError("variables expand to too long texts");
    const size_t stop = start + found.size();
    // An empty match right behind another one does not count.
    if (stop > end || start == 0) {
      ExpandReplacement(replacement, std::string_view(found.data(), found.size()), &out);
    }
    end = stop;
    size_t width = 1;
    if (from < value.size()) DecodeRune(std::string_view(value).substr(from), &width);
    from = std::max(from + width, stop);
  }
  return out + value.substr(end);
}

}  // namespace

StatusOr<std::string> TrimByPattern(std::string_view value, std::string_view pattern, bool suffix,
                                    bool longest) {
  std::u32string runes = Runes(pattern);
  if (suffix) runes = ReversePattern(runes);
  ASSIGN_OR_RETURN(std::shared_ptr<re2::RE2> regexp, Compile(runes, longest, true));
  std::string text = suffix ? Reverse(value) : ToValidUtf8(value);
  re2::StringPiece found;
  if (regexp->Match(text, 0, text.size(), re2::RE2::UNANCHORED, &found, 1)) {
    text.erase(0, static_cast<size_t>(found.data() - text.data()) + found.size());
  }
  return suffix ? Reverse(text) : text;
}

StatusOr<std::string> ReplaceByPattern(std::string_view value, std::string_view pattern,
                                       std::string_view replacement, bool all) {
  ASSIGN_OR_RETURN(std::shared_ptr<re2::RE2> regexp, Compile(Runes(pattern), true, false));
  std::string text = ToValidUtf8(value);
  if (all) return ReplaceAllMatches(*regexp, text, replacement);
  re2::StringPiece found;
  if (regexp->Match(text, 0, text.size(), re2::RE2::UNANCHORED, &found, 1)) {
    text.replace(static_cast<size_t>(found.data() - text.data()), found.size(), replacement);
  }
  return text;
}

}  // namespace kiln::dockerfile
