// Patterns become one of four kinds of comparison; only those with wildcards in
// the middle need a regular expression, in RE2's syntax, which is also Go's.
#include "base/pattern.h"

#include <re2/re2.h>

#include "base/file.h"
#include "base/glob.h"
#include "base/strings.h"
#include "base/utf8.h"

namespace kiln {

namespace {
enum class Kind { kExact, kPrefix, kSuffix, kRegexp };
}  // namespace

struct PatternList::Pattern {
  std::string text;
  bool exclusion = false;
  size_t depth = 1;  // number of path elements
  Kind kind = Kind::kExact;
  std::shared_ptr<const re2::RE2> regexp;

  Status Compile();
  bool Match(std::string_view path) const;
  bool MatchAnyParent(std::string_view path) const;
};

namespace {

// Turns one pattern into a regular expression, and notices when none is needed.
class PatternCompiler {
 public:
  explicit PatternCompiler(std::string_view pattern) : rest_(pattern) {
    if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);
  }

  void Run() {
    for (int i = 0; !rest_.empty(); ++i) {
      const char32_t rune = Next();
      if (rune == '*') {
        Star(i == 0);
      } else if (rune == '?') {
        Wild("[^/]");
      } else if (rune == '\\') {
        Escape();
      } else if (rune == '[' || rune == ']') {
        Wild("");
        AppendRune(rune, &out_);
      } else {
        if (rune < 0x80 &&
            std::string_view(".+()|{}$").find(static_cast<char>(rune)) != std::string_view::npos) {
          out_ += '\\';
        }
        AppendRune(rune, &out_);
      }
    }
    out_ += '$';
  }

  Kind kind() const { return kind_; }
  const std::string& regexp() const { return out_; }

 private:
  char32_t Next() {
    size_t length = 0;
    const char32_t rune = DecodeRune(rest_, &length);
    rest_.remove_prefix(length);
    return rune;
  }

  void Wild(std::string_view regexp) {
    out_ += regexp;
    kind_ = Kind::kRegexp;
  }

  void Star(bool first) {
    if (!rest_.starts_with('*')) return Wild("[^/]*");
    rest_.remove_prefix(1);
    if (rest_.starts_with('/')) rest_.remove_prefix(1);  // **/ is **
    if (!rest_.empty()) {
      Wild("(.*/)?");
    } else if (kind_ == Kind::kExact) {
      kind_ = Kind::kPrefix;
    } else {
      Wild(".*");
    }
    if (first) kind_ = Kind::kSuffix;
  }

  void Escape() {
    out_ += '\\';
    if (rest_.empty()) return;
    AppendRune(Next(), &out_);
    kind_ = Kind::kRegexp;
  }

  std::string_view rest_;
  std::string out_ = "^";
  Kind kind_ = Kind::kExact;
};

}  // namespace

Status PatternList::Pattern::Compile() {
  PatternCompiler compiler(text);
  compiler.Run();
  kind = compiler.kind();
  if (kind != Kind::kRegexp) return OkStatus();
  re2::RE2::Options options;
  options.set_log_errors(false);
  auto compiled = std::make_shared<re2::RE2>(compiler.regexp(), options);
  if (!compiled->ok()) return UnknownError("syntax error in pattern");
  regexp = std::move(compiled);
  return OkStatus();
}

bool PatternList::Pattern::Match(std::string_view path) const {
  const std::string_view pattern = text;
  switch (kind) {
    case Kind::kExact:
      return path == pattern;
    case Kind::kPrefix:
      return path.starts_with(pattern.substr(0, pattern.size() - 2));
    case Kind::kSuffix: {
      const std::string_view suffix = pattern.substr(2);
      if (path.ends_with(suffix)) return true;
      return suffix[0] == '/' && path == suffix.substr(1);
    }
    case Kind::kRegexp:
      break;
  }
  if (IsValidUtf8(path)) return re2::RE2::PartialMatch(path, *regexp);
  return re2::RE2::PartialMatch(ToValidUtf8(path), *regexp);
}

bool PatternList::Pattern::MatchAnyParent(std::string_view path) const {
  for (size_t slash = path.find('/'); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    if (Match(path.substr(0, slash))) return true;
  }
  return false;
}

StatusOr<PatternList> PatternList::Compile(const std::vector<std::string>& patterns) {
  auto compiled = std::make_shared<std::vector<Pattern>>();
  for (const std::string& line : patterns) {
    const std::string_view trimmed = TrimUnicodeSpace(line);
    if (trimmed.empty()) continue;
    Pattern pattern;
    pattern.text = CleanPath(trimmed);
    if (pattern.text[0] == '!') {
      if (pattern.text.size() == 1) return UnknownError("illegal exclusion pattern: \"!\"");
      pattern.exclusion = true;
      pattern.text.erase(0, 1);
    }
    RETURN_IF_ERROR(GlobMatch(pattern.text, "."));
    RETURN_IF_ERROR(pattern.Compile());
    pattern.depth = StrSplit(pattern.text, '/').size();
    compiled->push_back(std::move(pattern));
  }
  PatternList list;
  if (!compiled->empty()) list.patterns_ = std::move(compiled);
  return list;
}

bool PatternList::empty() const { return patterns_ == nullptr; }
size_t PatternList::size() const { return empty() ? 0 : patterns_->size(); }
const std::string& PatternList::text(size_t i) const { return (*patterns_)[i].text; }
bool PatternList::exclusion(size_t i) const { return (*patterns_)[i].exclusion; }

bool PatternList::has_exclusions() const {
  for (size_t i = 0; i < size(); ++i) {
    if (exclusion(i)) return true;
  }
  return false;
}

bool PatternList::MatchesOrParentMatches(std::string_view path) const {
  bool matched = false;
  for (size_t i = 0; i < size(); ++i) {
    const Pattern& pattern = (*patterns_)[i];
    // An inclusion cannot change a match, nor an exclusion a mismatch.
    if (pattern.exclusion != matched) continue;
    if (pattern.Match(path) || pattern.MatchAnyParent(path)) matched = !pattern.exclusion;
  }
  return matched;
}

bool PatternList::Matches(std::string_view path) const {
  const std::string parent = DirName(path);
  const std::vector<std::string_view> parts = StrSplit(parent, '/');
  bool matched = false;
  for (size_t i = 0; i < size(); ++i) {
    const Pattern& pattern = (*patterns_)[i];
    if (pattern.exclusion != matched) continue;
    bool match = pattern.Match(path);
    if (!match && parent != "." && pattern.depth <= parts.size()) {
      const std::string_view& last = parts[pattern.depth - 1];
      const auto length = static_cast<size_t>(last.data() + last.size() - parent.data());
      match = pattern.Match(std::string_view(parent).substr(0, length));
    }
    if (match) matched = !pattern.exclusion;
  }
  return matched;
}

bool PatternList::MatchesUsingParent(std::string_view path, const std::vector<bool>& parent,
                                     std::vector<bool>* own) const {
  own->assign(size(), false);
  bool matched = false;
  for (size_t i = 0; i < size(); ++i) {
    const Pattern& pattern = (*patterns_)[i];
    bool match = !parent.empty() && parent[i];
    if (!match) {
      if (pattern.exclusion != matched) continue;
      match = pattern.Match(path) || (parent.empty() && pattern.MatchAnyParent(path));
    }
    (*own)[i] = match;
    if (match) matched = !pattern.exclusion;
  }
  return matched;
}

std::vector<std::string> ReadIgnoreFile(std::string_view text) {
  std::vector<std::string> patterns;
  text = TrimPrefix(text, "\xEF\xBB\xBF");
  for (std::string_view line : StrSplit(text, '\n')) {
    if (line.starts_with('#')) continue;
    line = TrimUnicodeSpace(line);
    if (line.empty()) continue;
    const bool inverted = line[0] == '!';
    if (inverted) line = TrimUnicodeSpace(line.substr(1));
    std::string pattern = line.empty() ? "" : CleanPath(line);
    if (pattern.size() > 1 && pattern[0] == '/') pattern.erase(0, 1);
    patterns.push_back((inverted ? "!" : "") + pattern);
  }
  return patterns;
}

}  // namespace kiln
