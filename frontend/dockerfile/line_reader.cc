// See line_reader.h. The order of the steps is the reference's, where it shows.
#include "frontend/dockerfile/line_reader.h"

#include "base/strings.h"
#include "base/utf8.h"

namespace kiln::dockerfile {

namespace {

constexpr size_t kMaxLine = 64 * 1024 - 1;

std::string_view TrimLineEnd(std::string_view line) {
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool IsComment(std::string_view line) { return TrimLeftUnicodeSpace(line).starts_with('#'); }

}  // namespace

bool LineReader::NextPhysical(std::string_view* line) {
  if (rest_.empty() || too_long_) return false;
  const size_t end = rest_.find('\n');
  const bool last = end == std::string_view::npos;
  *line = rest_.substr(0, last ? rest_.size() : end + 1);
  if (line->size() - (last ? 0 : 1) > kMaxLine) {
    too_long_ = true;
    return false;
  }
  rest_.remove_prefix(line->size());
  return true;
}

void LineReader::TakeComment(std::string_view raw) {
  if (!IsComment(raw)) return;
  const std::string_view comment = TrimUnicodeSpace(raw.substr(1));
  if (comment.empty()) {
    comments_.clear();
  } else {
    comments_.emplace_back(comment);
  }
}

Status LineReader::TakeDirective(std::string_view line, bool* taken) {
  *taken = false;
  if (directives_.done()) return OkStatus();
  std::string key;
  std::string value;
  const StatusOr<bool> read = directives_.Read(line, &key, &value);
  Status status = read.status();
  if (read.ok() && *read && key == "escape") {
    if (value == "`" || value == "\\") {
      escape_ = value[0];
    } else {
      status = UnknownError(StrCat("invalid escape token '", value, "' does not match ` or \\"));
    }
  }
  if (!status.ok()) return WithLocation(status, LineRanges(line_, 0));
  *taken = *read;
  return OkStatus();
}

bool LineReader::Continues(std::string_view* line) const {
  const size_t at = line->find_last_not_of(" \t");
  if (at == std::string_view::npos || (*line)[at] != escape_) return false;
  if (at > 0 && (*line)[at - 1] == escape_) return false;
  *line = line->substr(0, at);
  return true;
}

StatusOr<bool> LineReader::Next(LogicalLine* line) {
  std::string_view raw;
  while (NextPhysical(&raw)) {
    if (line_ == 0) raw = TrimPrefix(raw, "\xEF\xBB\xBF");
    TakeComment(raw);
    std::string_view text = TrimLeftUnicodeSpace(TrimLineEnd(raw));
    bool directive = false;
    RETURN_IF_ERROR(TakeDirective(text, &directive));
    if (directive && !comments_.empty()) comments_.pop_back();
    ++line_;
    if (text.starts_with('#')) text = {};
    const bool continues = Continues(&text);
    if (!continues && text.empty()) continue;
    *line = LogicalLine{.text = std::string(text), .start_line = line_, .comments = {}};
    if (continues) RETURN_IF_ERROR(Join(line));
    line->comments = std::move(comments_);
    comments_.clear();
    return true;
  }
  return false;
}

Status LineReader::Join(LogicalLine* line) {
  std::string_view raw;
  while (NextPhysical(&raw)) {
    std::string_view text = TrimLineEnd(raw);
    bool directive = false;
    RETURN_IF_ERROR(TakeDirective(text, &directive));
    ++line_;
    if (IsComment(raw)) continue;
    if (TrimLeftUnicodeSpace(text).empty()) {
      line->empty_continuation = true;
      continue;
    }
    const bool continues = Continues(&text);
    line->text += text;
    if (!continues) break;
  }
  return OkStatus();
}

bool LineReader::ReadHeredoc(Heredoc* heredoc) {
  std::string_view raw;
  while (NextPhysical(&raw)) {
    ++line_;
    std::string_view end = TrimLineEnd(raw);
    if (heredoc->chomp) end.remove_prefix(std::min(end.find_first_not_of('\t'), end.size()));
    if (end == heredoc->name) return true;
    heredoc->content += raw;
  }
  return false;
}

}  // namespace kiln::dockerfile
