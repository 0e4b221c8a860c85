// Shows ANTLR one line as characters, and reads the words off its parse tree by their
// places in the line. ANTLR throws; nothing leaves here.
#include "frontend/dockerfile/instruction_line.h"

#include <optional>

#include "DockerfileLexer.h"
#include "DockerfileParser.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "frontend/dockerfile/byte_classes.h"
#include "frontend/dockerfile/json_array.h"
#include "frontend/dockerfile/word_text.h"

namespace kiln::dockerfile {

namespace {

using grammar::DockerfileLexer;
using grammar::DockerfileParser;

// ONBUILD within ONBUILD is an error later on; until then it costs stack.
constexpr int kMaxNesting = 20;

// What the grammar sees in place of single bytes; see the head of the lexer grammar.
enum : unsigned char {
  kEscapedBackslash = 1,
  kNonAscii = 2,
  kFlagBlank = 3,
  kWordBlank = 4,
  kAnyBlank = 5,
  kEscapedBacktick = 6,
  kControl = 7,
};

unsigned char ClassOf(unsigned char byte, char escape) {
  if (byte == '\\' && escape == '\\') return kEscapedBackslash;
  if (byte == '`' && escape == '`') return kEscapedBacktick;
  if (byte >= 0x80) return byte == 0x85 || byte == 0xA0 ? kFlagBlank : kNonAscii;
  const bool control = byte < '\t' || (byte > '\r' && byte < ' ');
  if (byte == '\n') return ' ';
  return control ? static_cast<unsigned char>(kControl) : byte;
}

// The line as the grammar sees it.
std::string ClassesOf(std::string_view line, char escape) {
  std::string classes;
  classes.reserve(line.size() + 1);
  for (size_t i = 0, length = 1; i < line.size(); i += length) {
    const bool ascii = (line[i] & 0x80) == 0;
    const char32_t rune = ascii ? ' ' : DecodeRune(line.substr(i), &length);
    const bool blank = !ascii && IsSpaceRune(rune);
    if (ascii) length = 1;
    for (size_t j = i; j < i + length; ++j) {
      unsigned char c = ClassOf(static_cast<unsigned char>(line[j]), escape);
      if (blank) c = c == kFlagBlank ? kAnyBlank : kWordBlank;
      classes.push_back(static_cast<char>(c));
    }
  }
  classes += '\n';  // the grammar's END
  return classes;
}

// Collects what the tree of one line says.
class LineReading {
 public:
  LineReading(std::string_view line, char escape, DockerfileParser::InstructionContext* tree)
      : line_(line), escape_(escape), tree_(*tree) {}

  Status Read(InstructionLine* out) {
    const antlr4::Token& keyword = *tree_.start;
    out->keyword = Text(keyword);
    out->inner_keyword = ToLower(out->keyword);
    ReadFlags(out);
    using Parser = DockerfileParser;
    if (auto* words = Child<Parser::WordsContext>()) return ReadWords(*words, keyword, out);
    if (auto* command = Child<Parser::CommandContext>()) return ReadCommand(Rest(*command), out);
    if (auto* pairs = Child<Parser::PairsContext>()) return ReadPairs(*pairs, keyword, out);
    if (auto* health = Child<Parser::HealthContext>()) return ReadHealth(*health, out);
    // Of an unknown instruction nobody asks for the words.
    auto* text = Child<Parser::TextContext>();
    if (text != nullptr && keyword.getType() != DockerfileLexer::UNKNOWN) {
      const std::string rest = Rest(*text);
      if (!rest.empty()) out->args.push_back(rest);
    }
    return OkStatus();
  }

 private:
  template <typename Context>
  Context* Child() {
    return tree_.getRuleContext<Context>(0);
  }
  std::string_view View(const antlr4::Token& token) const {
    const size_t start = token.getStartIndex();
    const size_t stop = std::min(token.getStopIndex() + 1, line_.size());
    return start < stop ? line_.substr(start, stop - start) : std::string_view();
  }
  std::string Text(const antlr4::Token& token) const { return std::string(View(token)); }

  // From the first token of a context to the end of the line.
  std::string Rest(const antlr4::ParserRuleContext& context) const {
    if (context.children.empty()) return "";
    return std::string(TrimUnicodeSpace(line_.substr(context.start->getStartIndex())));
  }

  void ReadFlags(InstructionLine* out) {
    auto* flags = Child<DockerfileParser::FlagsContext>();
    if (flags == nullptr) return;
    for (antlr4::tree::TerminalNode* flag : flags->FLAG()) {
      out->flags.push_back(FlagText(View(*flag->getSymbol()), escape_));
    }
  }

  Status ReadJsonOr(const std::string& rest, InstructionLine* out, bool* found) {
    std::vector<std::string> texts;
    switch (ReadJsonArray(rest, &texts)) {
      case JsonArray::kNone:
        *found = false;
        return OkStatus();
      case JsonArray::kMixed:
        return UnknownError(
            "when using JSON array syntax, arrays must be comprised of strings only");
      case JsonArray::kStrings:
        break;
    }
    *found = true;
    out->json = out->inner_json = true;
    out->args.insert(out->args.end(), texts.begin(), texts.end());
    return OkStatus();
  }

  Status ReadWords(DockerfileParser::WordsContext& words, const antlr4::Token& keyword,
                   InstructionLine* out) {
    const std::string rest = Rest(words);
    const bool may_be_json =
        keyword.getType() != DockerfileLexer::FROM && keyword.getType() != DockerfileLexer::EXPOSE;
    if (may_be_json && rest.starts_with('[')) {
      bool found = false;
      RETURN_IF_ERROR(ReadJsonOr(rest, out, &found));
      if (found) return OkStatus();
    }
    if (words.JSON() != nullptr) {
      out->args = SplitBlanks(rest);
      return OkStatus();
    }
    for (antlr4::tree::TerminalNode* node : words.WORD()) {
      std::string_view word = View(*node->getSymbol());
      // Unicode blanks separate nothing, but in front of all words they go.
      if (out->args.empty()) word = TrimLeftUnicodeSpace(word);
      if (!word.empty()) out->args.emplace_back(word);
    }
    return OkStatus();
  }

  Status ReadCommand(std::string rest, InstructionLine* out) {
    bool found = false;
    const std::string json(TrimLeftUnicodeSpace(rest));
    if (json.starts_with('[')) RETURN_IF_ERROR(ReadJsonOr(json, out, &found));
    if (!found && !rest.empty()) out->args.push_back(std::move(rest));
    return OkStatus();
  }

  Status ReadHealth(DockerfileParser::HealthContext& health, InstructionLine* out) {
    if (health.WORD() == nullptr) return OkStatus();
    out->args.push_back(Text(*health.WORD()->getSymbol()));
    // Here the reference looks for blanks byte by byte and trims nothing else.
    std::string_view rest = line_.substr(health.WORD()->getSymbol()->getStopIndex() + 1);
    rest.remove_prefix(std::min(rest.find_first_not_of("\t\n\v\f\r \x85\xA0"), rest.size()));
    return ReadCommand(std::string(rest), out);
  }

  Status ReadPairs(DockerfileParser::PairsContext& pairs, const antlr4::Token& keyword,
                   InstructionLine* out) {
    std::vector<std::string> words;
    for (antlr4::tree::TerminalNode* node : pairs.QUOTED_WORD()) {
      const antlr4::Token& token = *node->getSymbol();
      const bool last = token.getStopIndex() + 1 >= line_.size();
      std::string word = QuotedWordText(View(token), escape_, last);
      if (!word.empty()) words.push_back(std::move(word));
    }
    if (keyword.getType() == DockerfileLexer::ARG) {
      out->args = std::move(words);
      return OkStatus();
    }
    if (words.empty()) return OkStatus();
    if (!Contains(words[0], "=")) return ReadOldPair(Rest(pairs), out);
    for (const std::string& word : words) {
      std::string_view name;
      std::string_view value;
      if (!StrCut(word, "=", &name, &value)) {
        return UnknownError(StrCat("Syntax error - can't find = in ", Quote(word),
                                   ". Must be of the form: name=value"));
      }
      out->args.insert(out->args.end(), {std::string(name), std::string(value), "="});
    }
    return OkStatus();
  }

  Status ReadOldPair(std::string_view rest, InstructionLine* out) {
    constexpr std::string_view kBlanks = "\t\v\f\r ";
    const size_t end = rest.find_first_of(kBlanks);
    if (end == std::string_view::npos) {
      return UnknownError(StrCat(ToUpper(out->keyword), " must have two arguments"));
    }
    const size_t value = rest.find_first_not_of(kBlanks, end);
    out->args = {std::string(rest.substr(0, end)), std::string(rest.substr(value)), ""};
    return OkStatus();
  }

  std::string_view line_;
  char escape_;
  DockerfileParser::InstructionContext& tree_;
};

}  // namespace

struct InstructionLineParser::Machine {
  ByteClasses chars;
  DockerfileLexer lexer{&chars};
  antlr4::CommonTokenStream tokens{&lexer};
  DockerfileParser parser{&tokens};

  Machine() {
    lexer.removeErrorListeners();
    parser.removeErrorListeners();
    parser.getInterpreter<antlr4::atn::ParserATNSimulator>()->setPredictionMode(
        antlr4::atn::PredictionMode::SLL);
  }

  DockerfileParser::InstructionContext* Run(std::string_view line, char escape) {
    chars.Set(line, ClassesOf(line, escape));
    lexer.setInputStream(&chars);
    tokens.setTokenSource(&lexer);
    parser.setTokenStream(&tokens);
    return parser.instruction();
  }
};

InstructionLineParser::InstructionLineParser() : machine_(std::make_unique<Machine>()) {}
InstructionLineParser::~InstructionLineParser() = default;

StatusOr<InstructionLine> InstructionLineParser::Parse(std::string_view line) {
  return ParseNested(line, 0);
}

StatusOr<InstructionLine> InstructionLineParser::ParseNested(std::string_view line, int depth) {
  line = TrimUnicodeSpace(line);
  InstructionLine out;
  try {
    RETURN_IF_ERROR(LineReading(line, escape_, machine_->Run(line, escape_)).Read(&out));
  } catch (const std::exception& error) {
    return InternalError(StrCat("dockerfile grammar: ", error.what()));
  }
  if (out.inner_keyword != "onbuild" || out.args.empty() || depth >= kMaxNesting) return out;
  ASSIGN_OR_RETURN(InstructionLine inner, ParseNested(out.args[0], depth + 1));
  out.args[0] = inner.keyword;
  out.args.insert(out.args.end(), inner.args.begin(), inner.args.end());
  // The reference looks one level deep for here-documents.
  out.inner_keyword = ToLower(inner.keyword);
  out.inner_json = inner.json;
  return out;
}

}  // namespace kiln::dockerfile
