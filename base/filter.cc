// Scanner, parser and matcher of filter expressions. See filter.h.
#include "base/filter.h"

#include <re2/re2.h>

#include "base/strings.h"

namespace kiln {

enum class FilterOperator { kPresent, kEqual, kNotEqual, kMatches };

struct Filter::Selector {
  std::vector<std::string> path;
  FilterOperator op = FilterOperator::kPresent;
  std::string value;
  std::shared_ptr<const RE2> pattern;  // null if it does not compile: matches nothing
};

namespace {

enum class Token { kEnd, kQuoted, kValue, kField, kSeparator, kOperator, kIllegal, kOther };

bool IsQuote(char c) { return c == '/' || c == '|' || c == '"'; }
bool IsOperator(char c) { return c == '=' || c == '!' || c == '~'; }
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsField(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool IsValue(char c) {
  auto byte = static_cast<unsigned char>(c);
  return c != ',' && !IsSpace(c) && byte >= 0x20 && byte != 0x7f;
}

struct Scanned {
  Token token = Token::kEnd;
  size_t at = 0;
  std::string_view text;
};

// What follows an operator is a value, which may hold nearly anything.
class Scanner {
 public:
  explicit Scanner(std::string_view input) : input_(input) {}
  // The next character, blanks included; 0 at the end.
  char Peek() const { return at_ < input_.size() ? input_[at_] : '\0'; }
  bool AtEnd() const { return at_ >= input_.size(); }
  size_t position() const { return at_; }
  const std::string& error() const { return error_; }

  Scanned Next() {
    while (!AtEnd() && IsSpace(Peek())) ++at_;
    size_t start = at_;
    if (AtEnd()) return {Token::kEnd, start, {}};
    char c = input_[at_++];
    if (c == '\0') {
      error_ = "unexpected null";
      return {Token::kIllegal, start, {}};
    }
    if (IsQuote(c)) return Done(Quoted(c) ? Token::kQuoted : Token::kIllegal, start);
    if (c == ',' || c == '.') {
      value_ = false;
      return Done(Token::kSeparator, start);
    }
    if (IsOperator(c)) {
      Skip(IsOperator);
      value_ = true;
      return Done(Token::kOperator, start);
    }
    if (value_) {
      Skip(IsValue);
      value_ = false;
      return Done(Token::kValue, start);
    }
    if (IsField(c)) {
      Skip(IsField);
      return Done(Token::kField, start);
    }
    return Done(Token::kOther, start);
  }

 private:
  Scanned Done(Token token, size_t start) const {
    return {token, start, input_.substr(start, at_ - start)};
  }
  void Skip(bool (*is)(char)) {
    while (!AtEnd() && is(Peek())) ++at_;
  }
  bool Quoted(char quote) {
    while (!AtEnd()) {
      char c = input_[at_++];
      if (c == quote) return true;
      if (c == '\n') break;
      if (c == '\\' && !AtEnd()) ++at_;
    }
    error_ = "quoted literal not terminated";
    return false;
  }

  std::string_view input_;
  size_t at_ = 0;
  bool value_ = false;
  std::string error_;
};

void AppendUtf8(uint32_t rune, std::string* out) {
  if (rune < 0x80) {
    *out += static_cast<char>(rune);
  } else if (rune < 0x800) {
    *out += static_cast<char>(0xc0 | (rune >> 6));
    *out += static_cast<char>(0x80 | (rune & 0x3f));
  } else if (rune < 0x10000) {
    *out += static_cast<char>(0xe0 | (rune >> 12));
    *out += static_cast<char>(0x80 | ((rune >> 6) & 0x3f));
    *out += static_cast<char>(0x80 | (rune & 0x3f));
  } else {
    *out += static_cast<char>(0xf0 | (rune >> 18));
    *out += static_cast<char>(0x80 | ((rune >> 12) & 0x3f));
    *out += static_cast<char>(0x80 | ((rune >> 6) & 0x3f));
    *out += static_cast<char>(0x80 | (rune & 0x3f));
  }
}

// Digits of a numeric escape, `text` starting behind the letter; 0 if it is none.
size_t NumericEscape(std::string_view text, char kind, std::string* out) {
  size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 3;
  int base = kind == 'o' ? 8 : 16;
  uint32_t value = 0;
  if (text.size() < digits) return 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + digits, value, base);
  if (error != std::errc() || end != text.data() + digits) return 0;
  if (kind == 'x' || kind == 'o') {
    if (value > 0xff) return 0;
    *out += static_cast<char>(value);
  } else {
    if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return 0;
    AppendUtf8(value, out);
  }
  return digits;
}

// Go's unquoting with another quote character. False for escapes that Go refuses.
bool Unquote(std::string_view text, std::string* out) {
  char quote = text.front();
  text = text.substr(1, text.size() - 2);
  constexpr std::string_view kNames = "abfnrtv\\";
  constexpr std::string_view kValues = "\a\b\f\n\r\t\v\\";
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      *out += text[i];
      continue;
    }
    if (++i == text.size()) return false;
    char c = text[i];
    if (size_t known = kNames.find(c); known != std::string_view::npos) {
      *out += kValues[known];
    } else if (c == quote) {
      *out += c;
    } else if (c == 'x' || c == 'u' || c == 'U') {
      size_t used = NumericEscape(text.substr(i + 1), c, out);
      if (used == 0) return false;
      i += used;
    } else if (c >= '0' && c <= '7') {
      if (NumericEscape(text.substr(i), 'o', out) == 0) return false;
      i += 2;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

class FilterParser {
 public:
  explicit FilterParser(std::string_view input) : input_(input), scanner_(input) {}

  StatusOr<Filter::Expression> Run() {
    Filter::Expression selectors;
    for (;;) {
      Filter::Selector selector;
      RETURN_IF_ERROR(ParseSelector(&selector));
      selectors.push_back(std::move(selector));
      if (scanner_.AtEnd()) return selectors;
      if (scanner_.Peek() != ',') {
        return Fail(scanner_.position(), StrCat("unexpected input: ", scanner_.Peek()));
      }
      scanner_.Next();
    }
  }

 private:
  Status ParseSelector(Filter::Selector* selector) {
    for (;;) {
      std::string field;
      RETURN_IF_ERROR(ParseField(&field));
      selector->path.push_back(std::move(field));
      if (scanner_.Peek() != '.') break;
      scanner_.Next();
    }
    if (scanner_.AtEnd() || scanner_.Peek() == ',') return OkStatus();
    RETURN_IF_ERROR(ParseOperator(&selector->op));
    RETURN_IF_ERROR(ParseValue(selector->op == FilterOperator::kMatches, &selector->value));
    if (selector->op == FilterOperator::kMatches) {
      RE2::Options options;
      options.set_log_errors(false);
      auto pattern = std::make_shared<RE2>(selector->value, options);
      if (pattern->ok()) selector->pattern = std::move(pattern);
    }
    return OkStatus();
  }

  Status ParseField(std::string* field) {
    Scanned scanned = scanner_.Next();
    if (scanned.token == Token::kField) {
      *field = scanned.text;
      return OkStatus();
    }
    if (scanned.token == Token::kQuoted) return UnquoteAt(scanned, false, field);
    if (scanned.token == Token::kIllegal) return Fail(scanned.at, scanner_.error());
    return Fail(scanned.at, "expected field or quoted");
  }

  Status ParseOperator(FilterOperator* op) {
    Scanned scanned = scanner_.Next();
    if (scanned.token == Token::kIllegal) return Fail(scanned.at, scanner_.error());
    if (scanned.token != Token::kOperator) {
      return Fail(scanned.at, "expected an operator (\"==\"|\"!=\"|\"~=\")");
    }
    if (scanned.text == "==") {
      *op = FilterOperator::kEqual;
    } else if (scanned.text == "!=") {
      *op = FilterOperator::kNotEqual;
    } else if (scanned.text == "~=") {
      *op = FilterOperator::kMatches;
    } else {
      return Fail(scanned.at, StrCat("unsupported operator ", Quote(scanned.text)));
    }
    return OkStatus();
  }

  Status ParseValue(bool other_quotes, std::string* value) {
    Scanned scanned = scanner_.Next();
    switch (scanned.token) {
      case Token::kValue:
      case Token::kField:
        *value = scanned.text;
        return OkStatus();
      case Token::kQuoted:
        return UnquoteAt(scanned, other_quotes, value);
      case Token::kIllegal:
        return Fail(scanned.at, scanner_.error());
      default:
        return Fail(scanned.at, "expected value or quoted");
    }
  }

  Status UnquoteAt(const Scanned& scanned, bool other_quotes, std::string* out) {
    if (!other_quotes && scanned.text.front() != '"') {
      return Fail(scanned.at, "invalid quote encountered");
    }
    if (!Unquote(scanned.text, out)) return Fail(scanned.at, "unquoting failed: invalid syntax");
    return OkStatus();
  }

  Status Fail(size_t at, std::string_view what) const {
    std::string shown = at < input_.size()
                            ? StrCat("[", input_.substr(0, at), " >|", input_[at], "|< ",
                                     input_.substr(at + 1), "]")
                            : StrCat("[", input_, "]");
    return InvalidArgumentError(StrCat("filters: parse error: ", shown, ": ", what));
  }

  std::string_view input_;
  Scanner scanner_;
};

StatusOr<Filter> Filter::ParseAll(const std::vector<std::string>& expressions) {
  Filter filter;
  if (expressions.empty()) return filter;
  auto any = std::make_shared<std::vector<Expression>>();
  for (const std::string& text : expressions) {
    if (text.empty()) {
      any->emplace_back();  // no selector: always true
      continue;
    }
    StatusOr<Expression> expression = FilterParser(text).Run();
    if (!expression.ok()) {
      return InvalidArgumentError(StrCat(expression.status().message(), ": invalid argument"));
    }
    any->push_back(*std::move(expression));
  }
  filter.any_ = std::move(any);
  return filter;
}

bool Filter::Match(const Field& field) const {
  if (any_ == nullptr) return true;
  auto selected = [&](const Selector& selector) {
    std::optional<std::string> value = field(selector.path);
    switch (selector.op) {
      case FilterOperator::kPresent:
        return value.has_value();
      case FilterOperator::kEqual:
        return value.has_value() && *value == selector.value;
      case FilterOperator::kNotEqual:
        return value.value_or("") != selector.value;
      case FilterOperator::kMatches:
        return selector.pattern != nullptr &&
               RE2::PartialMatch(value.value_or(""), *selector.pattern);
    }
    return false;
  };
  for (const Expression& expression : *any_) {
    bool all = true;
    for (const Selector& selector : expression) all = all && selected(selector);
    if (all) return true;
  }
  return false;
}

}  // namespace kiln
