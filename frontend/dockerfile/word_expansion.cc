// Walks the parse tree of a word once, from left to right: where a substitution ends
// never depends on values, but which fault is named does. ANTLR throws; nothing
// leaves here.
#include "frontend/dockerfile/word_expansion.h"

#include <memory>
#include <utility>

#include "WordLexer.h"
#include "WordParser.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "frontend/dockerfile/byte_classes.h"
#include "frontend/dockerfile/shell_pattern.h"

namespace kiln::dockerfile {

namespace {

using antlr4::tree::TerminalNode;
using grammar::WordLexer;
using grammar::WordParser;

// ${a:-${a:-…}} deeper than this is refused: each level costs stack.
constexpr int kMaxDepth = 100;
// Variables of variables can double at each step.
constexpr size_t kMaxWord = 16 << 20;

Status TooLong() { return UnknownError("variables expand to too long texts"); }

// What the grammar sees in place of some bytes; see the head of the lexer grammar.
enum : char { kEscape = 1, kOther = 2, kFurther = 3 };

char ClassOfAscii(char byte, const ShellLex& lex) {
  if (byte == lex.escape) return kEscape;
  const bool quote = byte == '\'' || byte == '"';
  if ((quote && lex.skip_quotes) || (byte >= 0 && byte <= kFurther)) return kOther;
  return byte;
}

std::string ClassesOf(std::string_view text, const ShellLex& lex) {
  std::string classes(text.size(), kFurther);
  for (size_t i = 0, length = 1; i < text.size(); i += length) {
    length = 1;
    if ((text[i] & 0x80) == 0) {
      classes[i] = ClassOfAscii(text[i], lex);
      continue;
    }
    const char32_t rune = DecodeRune(text.substr(i), &length);
    classes[i] = IsLetterRune(rune) ? 'a' : IsDigitRune(rune) ? '1' : static_cast<char>(kOther);
  }
  return classes;
}

struct Machine {
  ByteClasses chars;
  WordLexer lexer{&chars};
  antlr4::CommonTokenStream tokens{&lexer};
  WordParser parser{&tokens};

  Machine() {
    lexer.removeErrorListeners();
    parser.removeErrorListeners();
    parser.getInterpreter<antlr4::atn::ParserATNSimulator>()->setPredictionMode(
        antlr4::atn::PredictionMode::SLL);
  }

  // The tree lives until the next call.
  StatusOr<WordParser::PiecesContext*> Run(std::string_view text, const ShellLex& lex) {
    chars.Set(text, ClassesOf(text, lex));
    lexer.setInputStream(&chars);
    tokens.setTokenSource(&lexer);
    tokens.fill();
    int depth = 0;
    for (const antlr4::Token* token : tokens.getTokens()) {
      if (token->getType() == WordLexer::OPEN) ++depth;
      if (token->getType() == WordLexer::CLOSE) --depth;
      if (depth > kMaxDepth) {
        return UnknownError("syntax error: substitutions nested too deeply");
      }
    }
    parser.setTokenStream(&tokens);
    WordParser::WordContext* word = parser.word();
    if (parser.getNumberOfSyntaxErrors() > 0) return InternalError("word grammar: no parse");
    return word->pieces();
  }
};

// Collects words beside the single result. The buffer is the expander's own and is
// shared by nested words, which start by emptying it: that is how the reference
// counts words around `${x:-y}`.
class WordSplitter {
 public:
  explicit WordSplitter(std::string* buffer) : buffer_(*buffer) { buffer_.clear(); }

  void AddSplitting(std::string_view text) {
    for (size_t i = 0, length = 0; i < text.size(); i += length) {
      const char32_t rune = DecodeRune(text.substr(i), &length);
      if (IsSpaceRune(rune)) {
        if (in_word_ && !buffer_.empty()) Flush();
      } else {
        AppendRune(rune, &buffer_);
        in_word_ = true;
      }
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

// Expands one tree.
class WordExpansion {
 public:
  WordExpansion(const ShellLex& lex, std::string_view text, const Env& env)
      : lex_(lex), text_(text), env_(env), raw_escapes_(lex.raw_escapes) {}

  StatusOr<WordResult> Run(WordParser::PiecesContext& pieces) {
    RETURN_IF_ERROR(Pieces(pieces, raw_escapes_, &result_.word, &result_.words));
    return std::move(result_);
  }

 private:
  // Reads a token; faults are told apart by whether anything follows it.
  std::string_view Take(TerminalNode* node) {
    const antlr4::Token& token = *node->getSymbol();
    const size_t start = token.getStartIndex();
    at_ = token.getStopIndex() + 1;
    return text_.substr(start, at_ - start);
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

  Status Pieces(WordParser::PiecesContext& pieces, bool raw_escapes, std::string* word,
                std::vector<std::string>* words) {
    const bool outer_raw = std::exchange(raw_escapes_, raw_escapes);
    WordSplitter splitter(&words_buffer_);
    for (antlr4::tree::ParseTree* piece : pieces.children) {
      if (word->size() > kMaxWord) return TooLong();
      if (auto* terminal = dynamic_cast<TerminalNode*>(piece)) {
        RETURN_IF_ERROR(Simple(terminal, &splitter, word));
      } else if (auto* quoted = dynamic_cast<WordParser::QuotedContext*>(piece)) {
        ASSIGN_OR_RETURN(const std::string text, DoubleQuoted(*quoted));
        splitter.AddRaw(text);
        *word += text;
      } else {
        ASSIGN_OR_RETURN(const std::string value, Substitution(piece));
        splitter.AddSplitting(value);
        *word += value;
      }
    }
    *words = splitter.Take();
    raw_escapes_ = outer_raw;
    return OkStatus();
  }

  // A piece of one token.
  Status Simple(TerminalNode* node, WordSplitter* splitter, std::string* word) {
    std::string text = ToValidUtf8(Take(node));
    switch (node->getSymbol()->getType()) {
      case WordLexer::TEXT:
        splitter->AddSplitting(text);
        *word += text;
        return OkStatus();
      case WordLexer::VARIABLE:
      case WordLexer::DOLLAR:
        if (text != "$") text = Variable(text);
        splitter->AddSplitting(text);
        *word += text;
        return OkStatus();
      case WordLexer::SINGLE_QUOTED:
        if (text.size() < 2 || !text.ends_with('\'')) {
          return UnknownError(
              "unexpected end of statement while looking for matching single-quote");
        }
        if (!lex_.raw_quotes) text = text.substr(1, text.size() - 2);
        break;
      case WordLexer::ESCAPED:
        if (!raw_escapes_) text.erase(0, 1);
        break;
      case WordLexer::LAST_ESCAPE:
        if (!raw_escapes_) return OkStatus();
        break;
      default:  // HEREDOC: `<< X` is one word
        break;
    }
    splitter->AddRaw(text);
    *word += text;
    return OkStatus();
  }

  // "$name"
  std::string Variable(const std::string& text) {
    const std::optional<std::string> value = Lookup(text.substr(1));
    return !value.has_value() && lex_.skip_unset_env ? text : value.value_or("");
  }

  StatusOr<std::string> DoubleQuoted(WordParser::QuotedContext& quoted) {
    std::string out;
    for (antlr4::tree::ParseTree* piece : quoted.children) {
      if (out.size() > kMaxWord) return TooLong();
      if (auto* terminal = dynamic_cast<TerminalNode*>(piece)) {
        QuotedToken(terminal, &out);
      } else {
        ASSIGN_OR_RETURN(const std::string value, Substitution(piece));
        out += value;
      }
    }
    if (quoted.END_QUOTE() == nullptr) {
      return UnknownError("unexpected end of statement while looking for matching double-quote");
    }
    return out;
  }

  void QuotedToken(TerminalNode* node, std::string* out) {
    const std::string text = ToValidUtf8(Take(node));
    switch (node->getSymbol()->getType()) {
      case WordLexer::QUOTE:
      case WordLexer::END_QUOTE:
        if (lex_.raw_quotes) *out += text;
        return;
      case WordLexer::VARIABLE:
        *out += Variable(text);
        return;
      case WordLexer::QUOTED_ESCAPED:
        *out += raw_escapes_ ? text : text.substr(1);
        return;
      case WordLexer::QUOTED_ESCAPE:
        // Shown twice where escapes stay: so does the reference.
        if (raw_escapes_) *out += text;
        break;
      default:
        break;
    }
    *out += text;
  }

  static Status Unsupported(std::string_view modifier) {
    return UnknownError(StrCat("unsupported modifier (", modifier, ") in substitution"));
  }
  static Status Missing(std::string_view what) {
    return UnknownError(StrCat("syntax error: missing ", what));
  }

  StatusOr<std::string> Substitution(antlr4::tree::ParseTree* tree) {
    auto& part = dynamic_cast<WordParser::SubstitutionContext&>(*tree);
    Take(part.OPEN());
    if (part.BAD_START() != nullptr) return UnknownError("syntax error: bad substitution");
    const std::string name = part.NAME() == nullptr ? "" : ToValidUtf8(Take(part.NAME()));
    if (part.MODIFIER() != nullptr) return Modified(part, name);
    if (part.SLASH() != nullptr) return Replaced(part, name);
    if (part.BAD_OPERATOR() != nullptr) return BadOperator(part.BAD_OPERATOR());
    if (part.CLOSE() == nullptr) {
      // The text ends here; the reference takes its end for a character.
      if (name.empty()) return Missing("'}'");
      return Unsupported("\uFFFD");
    }
    Take(part.CLOSE());
    const std::optional<std::string> value = Lookup(name);
    if (!value.has_value() && lex_.skip_unset_env) return StrCat("${", name, "}");
    return value.value_or("");
  }

  Status BadOperator(TerminalNode* node) {
    const std::string_view text = Take(node);
    size_t length = 2;
    if (text[0] != ':') DecodeRune(text, &length);
    at_ -= text.size() - length;
    return Unsupported(ToValidUtf8(text.substr(0, length)));
  }

  // A part of ${…}. One that does not end is the fault of the brace.
  Status Part(WordParser::PiecesContext& pieces, TerminalNode* end, bool raw,
              std::string_view missing, std::string* out) {
    std::vector<std::string> words;
    Status status = Pieces(pieces, raw, out, &words);
    if (status.ok() && end != nullptr) {
      Take(end);
      return OkStatus();
    }
    if (status.ok() || at_ == text_.size()) return Missing(missing);
    return status;
  }

  // ${name:-word} and the like; without the colon an empty value counts as given.
  StatusOr<std::string> Modified(WordParser::SubstitutionContext& part, const std::string& name) {
    const std::string modifier = ToValidUtf8(Take(part.MODIFIER()));
    const bool null_is_unset = modifier[0] == ':';
    const char sign = modifier.size() == (null_is_unset ? 2 : 1) ? modifier.back() : '\0';
    const bool trims = sign == '#' || sign == '%';
    std::string word;
    RETURN_IF_ERROR(Part(*part.pieces(0), part.CLOSE(), trims, "'}'", &word));
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
        const bool longest = word.starts_with(sign);
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

  // ${name/pattern/word}, or with two slashes for every match
  StatusOr<std::string> Replaced(WordParser::SubstitutionContext& part, const std::string& name) {
    const bool all = Take(part.SLASH()).size() == 2;
    std::string pattern;
    std::string replacement;
    RETURN_IF_ERROR(Part(*part.pieces(0), part.PATTERN_END(), true, "'/' in ${}", &pattern));
    RETURN_IF_ERROR(Part(*part.pieces(1), part.CLOSE(), true, "'}'", &replacement));
    const std::optional<std::string> value = Lookup(name);
    if (!value.has_value() && lex_.skip_unset_env) {
      return StrCat("${", name, "/", pattern, "/", replacement, "}");
    }
    return ReplaceByPattern(value.value_or(""), pattern, replacement, all);
  }

  const ShellLex& lex_;
  std::string_view text_;
  const Env& env_;
  size_t at_ = 0;  // how far the text has been read
  bool raw_escapes_;
  std::string words_buffer_;
  WordResult result_;
};

}  // namespace

StatusOr<WordResult> ExpandWord(const ShellLex& lex, std::string_view text, const Env& env) {
  // Making one costs as much as many words.
  thread_local const std::unique_ptr<Machine> machine = std::make_unique<Machine>();
  text = TrimPrefix(text, "\xEF\xBB\xBF");
  try {
    ASSIGN_OR_RETURN(WordParser::PiecesContext* const pieces, machine->Run(text, lex));
    return WordExpansion(lex, text, env).Run(*pieces);
  } catch (const std::exception& error) {
    return InternalError(StrCat("word grammar: ", error.what()));
  }
}

}  // namespace kiln::dockerfile
