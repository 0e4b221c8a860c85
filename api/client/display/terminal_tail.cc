#include "api/client/display/terminal_tail.h"

#include <deque>

namespace kiln::api {
namespace {

// Length of the escape sequence at the start of `text`, which begins with ESC.
size_t EscapeLength(std::string_view text) {
  if (text.size() < 2) return text.size();
  size_t i = 2;
  if (text[1] == '[') {
    while (i < text.size() && (text[i] < '@' || text[i] > '~')) ++i;
    return i < text.size() ? i + 1 : i;
  }
  if (text[1] == ']') {
    while (i < text.size() && text[i] != '\a' && text[i] != '\x1b') ++i;
    return i < text.size() ? i + 1 : i;
  }
  return 2;
}

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// One line of cells; a cell is one UTF-8 character.
class Line {
 public:
  void Put(std::string_view character) {
    if (column_ < cells_.size()) {
      cells_[column_] = character;
    } else {
      cells_.emplace_back(character);
    }
    ++column_;
  }
  void Return() { column_ = 0; }
  void Back() {
    if (column_ > 0) --column_;
  }
  size_t column() const { return column_; }
  std::string text() const {
    std::string out;
    for (const std::string& cell : cells_) out += cell;
    return out;
  }

 private:
  std::vector<std::string> cells_;
  size_t column_ = 0;
};

}  // namespace

std::vector<std::string> TerminalTail(std::string_view raw, size_t lines, size_t width) {
  std::deque<std::string> kept;
  Line line;
  auto end_line = [&] {
    std::string text = line.text();
    if (text.find_first_not_of(' ') != std::string::npos) kept.push_back(std::move(text));
    if (kept.size() > lines) kept.pop_front();
    line = Line();
  };
  while (!raw.empty()) {
    size_t length = 1;
    switch (raw[0]) {
      case '\x1b': length = EscapeLength(raw); break;
      case '\n': end_line(); break;
      case '\r': line.Return(); break;
      case '\b': line.Back(); break;
      case '\t':
        do {
          line.Put(" ");
        } while (line.column() % 8 != 0);
        break;
      default:
        if (static_cast<unsigned char>(raw[0]) < 0x20) break;
        while (length < raw.size() && length < 4 && IsContinuation(raw[length])) ++length;
        if (line.column() >= width) end_line();
        line.Put(raw.substr(0, length));
    }
    raw.remove_prefix(length);
  }
  end_line();
  return {kept.begin(), kept.end()};
}

}  // namespace kiln::api
