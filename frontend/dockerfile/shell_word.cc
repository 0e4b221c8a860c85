// One pass over the runes of a word, expanding as it goes: what a substitution
// does may depend on values, but where it ends never does.
#include "frontend/dockerfile/shell_word.h"

#include <algorithm>

#include "base/strings.h"
#include "base/utf8.h"
#include "frontend/dockerfile/shell_pattern.h"

namespace kiln::dockerfile {

ListEnv::ListEnv(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    std::string_view key;
    std::string_view value;
    StrCut(text, "=", &key, &value);
    keys_.emplace_back(key);
    values_[std::string(key)] = value;
  }
}

std::optional<std::string> ListEnv::Get(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

namespace {

constexpr char32_t kEnd = 0xFFFFFFFF;
// ${a:-${a:-…}} deeper than this is refused: each level costs stack.
constexpr int kMaxDepth = 100;

// Variables of variables can double at each step.
constexpr size_t kMaxWord = 16 << 20;

Status TooLong() { return UnknownError("variables expand to too long texts"); }

std::string RuneText(char32_t rune) {
  std::string text;
  AppendRune(rune == kEnd ? kRuneError : rune, &text);
  return text;
}

bool IsSpecialParameter(char32_t rune) {
  return rune < 0x80 &&
         std::string_view("@*#?-$!0").find(static_cast<char>(rune)) != std::string_view::npos;
}

// Collects words beside the single result. The buffer is the expander's own and is
// shared by nested words, which start by emptying it: that is how the reference
// counts words around `${x:-y}`.
class WordSplitter {
 public:
  explicit WordSplitter(std::string* buffer) : buffer_(*buffer) { buffer_.clear(); }

  void AddRune(char32_t rune) {
    if (!IsSpaceRune(rune)) return AddRaw(RuneText(rune));
    if (in_word_ && !buffer_.empty()) Flush();
  }
  void AddSplitting(std::string_view text) {
    for (size_t i = 0, length = 0; i < text.size(); i += length) {
      AddRune(DecodeRune(text.substr(i), &length));
    }
  }
  void AddRaw(std::string_view text) {
    buffer_ += text;
    in_word_ = true;
  }
  std::vector<std::string> Take() {
    if (!buffer_.empty()) Flush();
    return std::move(words_);
  }

 private:
  void Flush() {
    words_.push_back(buffer_);
    buffer_.clear();
    in_word_ = false;
  }
  std::string& buffer_;
  std::vector<std::string> words_;
  bool in_word_ = false;
};

class WordExpansion {
 public:
  WordExpansion(const ShellLex& lex, std::string_view word, const Env& env)
      : lex_(lex), env_(env), raw_escapes_(lex.raw_escapes) {
    if (word.starts_with("\xEF\xBB\xBF")) word.remove_prefix(3);
    rest_ = word;
    Decode();
  }

  StatusOr<WordResult> Run() {
    RETURN_IF_ERROR(Until(kEnd, raw_escapes_, &result_.word, &result_.words));
    return std::move(result_);
  }

 private:
  void Decode() {
    if (rest_.empty()) {
      next_ = kEnd;
      return;
    }
    next_ = DecodeRune(rest_, &length_);
  }
  char32_t Peek() const { return next_; }
  char32_t Next() {
    const char32_t rune = next_;
    if (rune != kEnd) {
      rest_.remove_prefix(length_);
      Decode();
    }
    return rune;
  }

  std::optional<std::string> Lookup(const std::string& name) {
    std::optional<std::string> value = env_.Get(name);
    if (value.has_value()) {
      result_.matched.insert(name);
    } else {
      result_.unmatched.insert(name);
    }
    return value;
  }

  // Reads up to `stop`, which is consumed; `kEnd` stands for the end of the text.
  Status Until(char32_t stop, bool raw_escapes, std::string* word,
               std::vector<std::string>* words) {
    if (++depth_ > kMaxDepth) return UnknownError("syntax error: substitutions nested too deeply");
    const bool outer_raw = std::exchange(raw_escapes_, raw_escapes);
    const Status status = UntilInner(stop, word, words);
    raw_escapes_ = outer_raw;
    --depth_;
    return status;
  }

  Status UntilInner(char32_t stop, std::string* word, std::vector<std::string>* words) {
    WordSplitter splitter(&words_buffer_);
    while (Peek() != kEnd && Peek() != stop) {
      if (word->size() > kMaxWord) return TooLong();
      const char32_t rune = Peek();
      if (rune == '$') {
        ASSIGN_OR_RETURN(std::string value, Dollar());
        splitter.AddSplitting(value);
        *word += value;
      } else if (rune == '<') {
        const std::string text = HeredocSign();
        splitter.AddRaw(text);
        *word += text;
      } else if (!lex_.skip_quotes && (rune == '\'' || rune == '"')) {
        ASSIGN_OR_RETURN(std::string text, rune == '"' ? DoubleQuoted() : SingleQuoted());
        splitter.AddRaw(text);
        *word += text;
      } else if (!Plain(&splitter, word)) {
        break;
      }
    }
    if (Peek() == kEnd && stop != kEnd) {
      return UnknownError(
          StrCat("unexpected end of statement while looking for matching ", RuneText(stop)));
    }
    if (stop != kEnd) Next();
    *words = splitter.Take();
    return OkStatus();
  }

  // An ordinary or escaped rune. False if an escape stands at the end.
  bool Plain(WordSplitter* splitter, std::string* word) {
    char32_t rune = Next();
    if (rune != static_cast<unsigned char>(lex_.escape)) {
      splitter->AddRune(rune);
      *word += RuneText(rune);
      return true;
    }
    std::string text;
    if (raw_escapes_) text = RuneText(rune);
    rune = Next();
    if (rune != kEnd) text += RuneText(rune);
    if (!text.empty()) splitter->AddRaw(text);
    *word += text;
    return rune != kEnd;
  }

  StatusOr<std::string> SingleQuoted() {
    std::string out;
    char32_t rune = Next();
    if (lex_.raw_quotes) out += '\'';
    while ((rune = Next()) != '\'') {
      if (rune == kEnd) {
        return UnknownError("unexpected end of statement while looking for matching single-quote");
      }
      out += RuneText(rune);
    }
    if (lex_.raw_quotes) out += '\'';
    return out;
  }

  StatusOr<std::string> DoubleQuoted() {
    std::string out;
    Next();
    if (lex_.raw_quotes) out += '"';
    const char32_t escape = static_cast<unsigned char>(lex_.escape);
    while (Peek() != '"') {
      if (Peek() == kEnd) {
        return UnknownError("unexpected end of statement while looking for matching double-quote");
      }
      if (out.size() > kMaxWord) return TooLong();
      if (Peek() == '$') {
        ASSIGN_OR_RETURN(std::string value, Dollar());
        out += value;
        continue;
      }
      char32_t rune = Next();
      if (rune == escape) {
        if (raw_escapes_) out += RuneText(rune);
        if (Peek() == kEnd) continue;
        if (Peek() == '"' || Peek() == '$' || Peek() == escape) rune = Next();
      }
      out += RuneText(rune);
    }
    Next();
    if (lex_.raw_quotes) out += '"';
    return out;
  }

  // "<<" keeps the blanks behind it: `<< X` is one word.
  std::string HeredocSign() {
    Next();
    if (Peek() != '<') return "<";
    Next();
    std::string out = "<<";
    while (Peek() == '\t' || Peek() == '\r' || Peek() == ' ') out += RuneText(Next());
    return out;
  }

  std::string Name() {
    std::string name;
    if (IsDigitRune(Peek())) {
      while (IsDigitRune(Peek())) name += RuneText(Next());
      return name;
    }
    if (IsSpecialParameter(Peek())) return RuneText(Next());
    while (Peek() != kEnd && (Peek() == '_' || IsLetterRune(Peek()) || IsDigitRune(Peek()))) {
      name += RuneText(Next());
    }
    return name;
  }

  StatusOr<std::string> Dollar() {
    Next();
    if (Peek() == '{') {
      Next();
      return Braced();
    }
    const std::string name = Name();
    if (name.empty()) return "$";
    const std::optional<std::string> value = Lookup(name);
    if (!value.has_value() && lex_.skip_unset_env) return "$" + name;
    return value.value_or("");
  }

  static Status Unsupported(std::string_view modifier) {
    return UnknownError(StrCat("unsupported modifier (", modifier, ") in substitution"));
  }

  StatusOr<std::string> Braced() {
    if (Peek() == kEnd) return UnknownError("syntax error: missing '}'");
    if (Peek() == '{' || Peek() == '}' || Peek() == ':') {
      return UnknownError("syntax error: bad substitution");
    }
    const std::string name = Name();
    const char32_t sign = Next();
    switch (sign) {
      case '}': {
        const std::optional<std::string> value = Lookup(name);
        if (!value.has_value() && lex_.skip_unset_env) return StrCat("${", name, "}");
        return value.value_or("");
      }
      case ':': {
        const char32_t second = Next();
        return Modified(name, second, ":" + RuneText(second), true);
      }
      case '+':
      case '-':
      case '?':
      case '#':
      case '%':
        return Modified(name, sign, RuneText(sign), false);
      case '/':
        return Replaced(name);
      default:
        return Unsupported(RuneText(sign));
    }
  }

  // Reads a part of ${…} up to `stop`. A part without end is the fault of the brace.
  Status Part(char32_t stop, bool raw, std::string_view missing, std::string* out) {
    std::vector<std::string> words;
    const Status status = Until(stop, raw, out, &words);
    if (!status.ok() && Peek() == kEnd)
      return UnknownError(StrCat("syntax error: missing ", missing));
    return status;
  }

  StatusOr<std::string> Modified(const std::string& name, char32_t sign,
                                 const std::string& modifier, bool null_is_unset) {
    const bool trims = sign == '#' || sign == '%';
    if (null_is_unset && trims) return Unsupported(modifier);
    std::string word;
    RETURN_IF_ERROR(Part('}', trims, "'}'", &word));
    const std::optional<std::string> value = Lookup(name);
    if (!value.has_value() && lex_.skip_unset_env) {
      return StrCat("${", name, modifier, word, "}");
    }
    const bool given = value.has_value() && !(null_is_unset && value->empty());
    switch (sign) {
      case '-':
        return given ? *value : word;
      case '+':
        return given ? word : "";
      case '?':
        return Required(name, value, given, word);
      case '#':
      case '%': {
        const bool longest = word.starts_with(static_cast<char>(sign));
        if (longest) word.erase(0, 1);
        return TrimByPattern(value.value_or(""), word, sign == '%', longest);
      }
      default:
        return Unsupported(modifier);
    }
  }

  static StatusOr<std::string> Required(const std::string& name,
                                        const std::optional<std::string>& value, bool given,
                                        const std::string& message) {
    if (given) return *value;
    if (!message.empty()) return UnknownError(StrCat(name, ": ", message));
    return UnknownError(
        StrCat(name, ": is not allowed to be ", value.has_value() ? "empty" : "unset"));
  }

  StatusOr<std::string> Replaced(const std::string& name) {
    const bool all = Peek() == '/';
    if (all) Next();
    std::string pattern;
    std::string replacement;
    RETURN_IF_ERROR(Part('/', true, "'/' in ${}", &pattern));
    RETURN_IF_ERROR(Part('}', true, "'}'", &replacement));
    const std::optional<std::string> value = Lookup(name);
    if (!value.has_value() && lex_.skip_unset_env) {
      return StrCat("${", name, "/", pattern, "/", replacement, "}");
    }
    return ReplaceByPattern(value.value_or(""), pattern, replacement, all);
  }

  const ShellLex& lex_;
  const Env& env_;
  std::string_view rest_;
  char32_t next_ = kEnd;
  size_t length_ = 0;
  bool raw_escapes_;
  int depth_ = 0;
  std::string words_buffer_;
  WordResult result_;
};

}  // namespace

StatusOr<WordResult> ShellLex::Process(std::string_view word, const Env& env) const {
  StatusOr<WordResult> result = WordExpansion(*this, word, env).Run();
  if (result.ok()) return result;
  return Annotate(result.status(), StrCat("failed to process ", Quote(word)));
}

}  // namespace kiln::dockerfile
