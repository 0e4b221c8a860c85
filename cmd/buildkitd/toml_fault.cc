// A table of beginnings and their translation.
#include "cmd/buildkitd/toml_fault.h"

#include <array>
#include <cstdio>

#include "base/strings.h"

namespace kiln::buildkitd {
namespace {

struct Translation {
  std::string_view context;  // what was being parsed
  std::string_view problem;
  std::string_view words;  // "%c": the character, "%u": as U+0041 'A'
};

constexpr Translation kTranslations[] = {
    {"key-value pair", "expected value, saw '\\n'", "incomplete number"},
    {"key-value pair", "expected '='", "expected character ="},
    {"key-value pair", "expected a comment or whitespace", "expected newline but got %u"},
    {"array", "encountered end-of-file", "expected character ] but the document ended here"},
    {"array", "expected comma or closing", "array elements must be separated by commas"},
    {"string", "unescaped control characters", "basic strings cannot have new lines"},
    {"literal string", "control characters", "literal strings cannot have new lines"},
    {"root table", "expected keys, tables", "invalid character at start of key: %c"},
    {"table header", "expected ']'", "expected character ]"},
    {"boolean", "expected 'true'", "expected 'true'"},
    {"boolean", "expected 'false'", "expected 'false'"},
    {"inline table", "expected key or closing", "expected character ,"},
    {"value", "could not determine value type", "incomplete number"},
};

// The character in "…, saw 'x'".
std::string Seen(std::string_view description) {
  size_t at = description.rfind("saw '");
  if (at == std::string_view::npos) return "";
  std::string_view rest = description.substr(at + 5);
  return std::string(rest.substr(0, rest.rfind('\'')));
}

std::string Unicode(std::string_view seen) {
  if (seen.size() != 1) return std::string(seen);
  std::array<char, 16> code{};
  std::snprintf(code.data(), code.size(), "U+%04X", static_cast<unsigned>(seen[0]));
  return StrCat(code.data(), " '", seen, "'");
}

// "key X is already defined", or "" for other faults.
std::string Redefined(std::string_view text) {
  if (!Contains(text, "redefine existing")) return "";
  size_t open = text.find('\'');
  size_t close = open == std::string_view::npos ? open : text.find('\'', open + 1);
  if (close == std::string_view::npos) return "";
  return StrCat("key ", text.substr(open + 1, close - open - 1), " is already defined");
}

}  // namespace

std::string TomlFault(std::string_view description) {
  if (std::string text = Redefined(description); !text.empty()) return text;
  std::string_view rest = TrimPrefix(description, "Error while parsing ");
  std::string_view context, problem;
  if (StrCut(rest, ": ", &context, &problem)) {
    for (const Translation& known : kTranslations) {
      if (context != known.context || !problem.starts_with(known.problem)) continue;
      std::string seen = Seen(problem);
      return ReplaceAll(ReplaceAll(known.words, "%c", seen), "%u", Unicode(seen));
    }
  }
  return std::string(description);
}

}  // namespace kiln::buildkitd
