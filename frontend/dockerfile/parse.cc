// Text → nodes: the pre-pass, the grammar for each line, and here-documents.
#include "base/strings.h"
#include "frontend/dockerfile/ast.h"
#include "frontend/dockerfile/heredoc.h"
#include "frontend/dockerfile/instruction_line.h"
#include "frontend/dockerfile/line_reader.h"

namespace kiln::dockerfile {

namespace {

// No file of use comes near; without them a hostile one takes all memory.
constexpr size_t kMaxBytes = 32 << 20;
constexpr size_t kMaxNodes = 250'000;

bool MayHaveHeredocs(const InstructionLine& line) {
  return !line.inner_json && (line.inner_keyword == "add" || line.inner_keyword == "copy" ||
                              line.inner_keyword == "run");
}

ParseWarning EmptyContinuation(const std::string& text, int line) {
  return {.short_text = "Empty continuation line found in: " + text,
          .detail = {"Empty continuation lines will become errors in a future release"},
          .url = "https://docs.docker.com/go/dockerfile/rule/no-empty-continuation/",
          .location = {{line, 0}, {line, 0}}};
}

Status ReadHeredocs(LineReader* reader, Node* node) {
  ASSIGN_OR_RETURN(std::vector<Heredoc> heads, HeredocHeads(node->original));
  for (Heredoc& heredoc : heads) {
    if (!reader->ReadHeredoc(&heredoc)) return UnknownError("unterminated heredoc");
    node->heredocs.push_back(std::move(heredoc));
  }
  return OkStatus();
}

Status ReadNode(LogicalLine line, LineReader* reader, InstructionLineParser* parser, Node* node) {
  parser->set_escape(reader->escape());
  ASSIGN_OR_RETURN(InstructionLine parsed, parser->Parse(line.text));
  const bool heredocs = MayHaveHeredocs(parsed) && Contains(line.text, "<<");
  node->keyword = std::move(parsed.keyword);
  node->flags = std::move(parsed.flags);
  node->args = std::move(parsed.args);
  node->json = parsed.json;
  node->original = std::move(line.text);
  node->start_line = line.start_line;
  node->comments = std::move(line.comments);
  if (heredocs) RETURN_IF_ERROR(ReadHeredocs(reader, node));
  node->end_line = reader->line();
  return OkStatus();
}

}  // namespace

StatusOr<ParseResult> Parse(std::string_view text) {
  if (text.size() > kMaxBytes) {
    return UnknownError(StrCat("dockerfile greater than max allowed size of ", kMaxBytes));
  }
  LineReader reader(text);
  InstructionLineParser parser;
  ParseResult result;
  while (true) {
    LogicalLine line;
    ASSIGN_OR_RETURN(bool more, reader.Next(&line));
    if (!more) break;
    if (line.empty_continuation) {
      result.warnings.push_back(EmptyContinuation(line.text, reader.line()));
    }
    Node node;
    const int start = line.start_line;
    const Status status = ReadNode(std::move(line), &reader, &parser, &node);
    if (!status.ok()) return WithLocation(status, LineRanges(start, reader.line()));
    result.nodes.push_back(std::move(node));
    if (result.nodes.size() > kMaxNodes) {
      return WithLocation(UnknownError(StrCat("more than ", kMaxNodes, " instructions")),
                          LineRanges(start, reader.line()));
    }
  }
  if (result.nodes.empty()) {
    return WithLocation(UnknownError("file with no instructions"), LineRanges(reader.line(), 0));
  }
  if (reader.too_long()) {
    return WithLocation(UnknownError("dockerfile line greater than max allowed size of 65535"),
                        LineRanges(reader.line(), 0));
  }
  result.escape = reader.escape();
  return result;
}

}  // namespace kiln::dockerfile
