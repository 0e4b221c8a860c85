// A pattern is cut at its stars into chunks; each chunk is compared in place.
#include "base/glob.h"

#include "base/utf8.h"

namespace kiln {

namespace {

Status BadPattern() { return UnknownError("syntax error in pattern"); }

// One end of a range in a bracket, possibly escaped.
bool TakeBracketRune(std::string_view* pattern, char32_t* rune) {
  if (pattern->empty() || pattern->front() == '-' || pattern->front() == ']') return false;
  if (pattern->front() == '\\') {
    pattern->remove_prefix(1);
    if (pattern->empty()) return false;
  }
  size_t length = 0;
  *rune = DecodeRune(*pattern, &length);
  if (*rune == kRuneError && length == 1) return false;
  pattern->remove_prefix(length);
  return !pattern->empty();  // a ']' has to follow
}

// The bracket behind '['. False if it is malformed.
bool TakeBracket(std::string_view* pattern, char32_t rune, bool* matched) {
  bool negated = false;
  if (!pattern->empty() && pattern->front() == '^') {
    negated = true;
    pattern->remove_prefix(1);
  }
  bool found = false;
  for (int ranges = 0;; ++ranges) {
    if (!pattern->empty() && pattern->front() == ']' && ranges > 0) {
      pattern->remove_prefix(1);
      *matched = found != negated;
      return true;
    }
    char32_t low = 0;
    if (!TakeBracketRune(pattern, &low)) return false;
    char32_t high = low;
    if (pattern->front() == '-') {
      pattern->remove_prefix(1);
      if (!TakeBracketRune(pattern, &high)) return false;
    }
    if (low <= rune && rune <= high) found = true;
  }
}

// Pattern without stars against the start of `name`: what is left of the name,
// if it matched. Goes on to the end of the chunk in any case, to find faults.
StatusOr<bool> MatchChunk(std::string_view chunk, std::string_view name, std::string_view* rest) {
  bool failed = false;
  while (!chunk.empty()) {
    failed = failed || name.empty();
    size_t length = 1;
    const char32_t rune = failed ? 0 : DecodeRune(name, &length);
    if (chunk.front() == '[') {
      chunk.remove_prefix(1);
      bool matched = false;
      if (!TakeBracket(&chunk, rune, &matched)) return BadPattern();
      failed = failed || !matched;
    } else if (chunk.front() == '?') {
      failed = failed || rune == '/';
      chunk.remove_prefix(1);
    } else {
      if (chunk.front() == '\\') {
        chunk.remove_prefix(1);
        if (chunk.empty()) return BadPattern();
      }
      failed = failed || chunk.front() != name.front();
      chunk.remove_prefix(1);
      length = 1;
    }
    if (!failed) name.remove_prefix(length);
  }
  *rest = name;
  return !failed;
}

// Cuts the next chunk off: whether stars lead it, and the text up to the next star.
std::string_view TakeChunk(std::string_view* pattern, bool* star) {
  *star = false;
  while (!pattern->empty() && pattern->front() == '*') {
    *star = true;
    pattern->remove_prefix(1);
  }
  bool in_bracket = false;
  size_t i = 0;
  for (; i < pattern->size(); ++i) {
    const char c = (*pattern)[i];
    if (c == '\\') {
      if (i + 1 < pattern->size()) ++i;
    } else if (c == '[') {
      in_bracket = true;
    } else if (c == ']') {
      in_bracket = false;
    } else if (c == '*' && !in_bracket) {
      break;
    }
  }
  std::string_view chunk = pattern->substr(0, i);
  pattern->remove_prefix(i);
  return chunk;
}

}  // namespace

StatusOr<bool> GlobMatch(std::string_view pattern, std::string_view name) {
  while (!pattern.empty()) {
    bool star = false;
    std::string_view chunk = TakeChunk(&pattern, &star);
    if (star && chunk.empty()) return name.find('/') == std::string_view::npos;
    std::string_view rest;
    ASSIGN_OR_RETURN(bool matched, MatchChunk(chunk, name, &rest));
    // The last chunk has to reach the end; else a longer star may still do it.
    if (matched && (rest.empty() || !pattern.empty())) {
      name = rest;
      continue;
    }
    if (!star) return false;
    bool found = false;
    for (size_t i = 0; i < name.size() && name[i] != '/' && !found; ++i) {
      ASSIGN_OR_RETURN(bool again, MatchChunk(chunk, name.substr(i + 1), &rest));
      if (again && !(pattern.empty() && !rest.empty())) {
        name = rest;
        found = true;
        break;
      }
    }
    if (!found) return false;
  }
  return name.empty();
}

bool HasGlob(std::string_view name) {
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '\\') {
      ++i;
    } else if (name[i] == '*' || name[i] == '?' || name[i] == '[') {
      return true;
    }
  }
  return false;
}

}  // namespace kiln
