// A recursive descent that remembers the first unexpected character.
#include "cmd/buildctl/json_fault.h"

#include <cctype>

#include "base/strings.h"

namespace kiln::buildctl {
namespace {

constexpr int kDeepest = 10000;

class Checker {
 public:
  explicit Checker(std::string_view text) : text_(text) {}

  std::string Run() {
    if (Value(0)) {
      Blanks();
      if (at_ < text_.size()) Fail("after top-level value");
    }
    return fault_;
  }

 private:
  bool Fail(std::string_view context) {
    if (!fault_.empty()) return false;
    if (at_ >= text_.size()) {
      fault_ = "unexpected end of JSON input";
      return false;
    }
    char c = text_[at_];
    std::string shown = c == '\'' ? "'\\''" : c == '"' ? "'\"'" : "";
    if (shown.empty()) {
      std::string quoted = Quote(std::string(1, c));
      shown = StrCat("'", quoted.substr(1, quoted.size() - 2), "'");
    }
    fault_ = StrCat("invalid character ", shown, " ", context);
    return false;
  }
  void Blanks() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool Take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool Value(int depth) {
    Blanks();
    if (depth > kDeepest) {
      fault_ = "exceeded max depth";
      return false;
    }
    if (Take('{')) return Object(depth);
    if (Take('[')) return Array(depth);
    if (Take('"')) return String();
    for (std::string_view word : {"true", "false", "null"}) {
      if (at_ < text_.size() && text_[at_] == word[0]) return Literal(word);
    }
    return Number();
  }
  bool Literal(std::string_view word) {
    for (char c : word) {
      if (!Take(c)) return Fail(StrCat("in literal ", word, " (expecting '", std::string(1, c), "')"));
    }
    return true;
  }
  bool Digits(std::string_view context) {
    size_t start = at_;
    while (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
    return at_ > start || Fail(context);
  }
  bool Number() {
    bool negative = Take('-');
    if (!Take('0') && !Digits(negative ? "in numeric literal" : "looking for beginning of value")) {
      return false;
    }
    if (Take('.') && !Digits("after decimal point in numeric literal")) return false;
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      return Digits("in exponent of numeric literal");
    }
    return true;
  }
  bool String() {
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (c == '"') {
        ++at_;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) return Fail("in string literal");
      ++at_;
      if (c != '\\') continue;
      if (at_ >= text_.size()) break;
      if (Take('u')) {
        for (int i = 0; i < 4; ++i, ++at_) {
          bool hex = at_ < text_.size() && std::isxdigit(static_cast<unsigned char>(text_[at_])) != 0;
          if (!hex) return Fail("in \\u hexadecimal character escape");
        }
      } else if (std::string_view("\"\\/bfnrt").find(text_[at_]) == std::string_view::npos) {
        return Fail("in string escape code");
      } else {
        ++at_;
      }
    }
    return Fail("in string literal");
  }
  bool Object(int depth) {
    Blanks();
    if (Take('}')) return true;
    while (true) {
      Blanks();
      if (!Take('"')) return Fail("looking for beginning of object key string");
      if (!String()) return false;
      Blanks();
      if (!Take(':')) return Fail("after object key");
      if (!Value(depth + 1)) return false;
      Blanks();
      if (Take('}')) return true;
      if (!Take(',')) return Fail("after object key:value pair");
    }
  }
  bool Array(int depth) {
    Blanks();
    if (Take(']')) return true;
    while (true) {
      if (!Value(depth + 1)) return false;
      Blanks();
      if (Take(']')) return true;
      if (!Take(',')) return Fail("after array element");
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string fault_;
};

}  // namespace

std::string JsonFault(std::string_view text) { return Checker(text).Run(); }

}  // namespace kiln::buildctl
