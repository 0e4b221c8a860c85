// See table.h.
#include "cmd/buildctl/table.h"

#include <algorithm>

#include "base/strings.h"
#include "base/utf8.h"

namespace kiln::buildctl {
namespace {

size_t WidthOf(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    size_t length = 0;
    DecodeRune(text, &length);
    text.remove_prefix(length);
    ++width;
  }
  return width;
}

}  // namespace

void Table::Add(std::string_view lines) {
  lines = TrimSuffix(lines, "\n");
  for (std::string_view line : StrSplit(lines, '\n')) {
    Line cells;
    for (std::string_view cell : StrSplit(line, '\t')) cells.emplace_back(cell);
    lines_.push_back(std::move(cells));
  }
}

void Table::Print(size_t from, size_t to, const std::vector<size_t>& widths,
                  std::string* out) const {
  for (size_t i = from; i < to; ++i) {
    const Line& line = lines_[i];
    for (size_t j = 0; j < line.size(); ++j) {
      *out += line[j];
      if (j >= widths.size() || j + 1 == line.size()) continue;
      size_t have = WidthOf(line[j]);
      if (!tabs_) {
        out->append(widths[j] - have, ' ');
        continue;
      }
      size_t full = (widths[j] + 7) / 8 * 8;
      out->append((full - have + 7) / 8, '\t');
    }
    *out += '\n';
  }
}

void Table::Format(size_t from, size_t to, std::vector<size_t>& widths, std::string* out,
                   size_t* done) {
  size_t column = widths.size();
  for (size_t i = from; i < to; ++i) {
    if (column + 1 >= lines_[i].size()) continue;
    Print(*done, i, widths, out);
    *done = i;
    size_t width = tabs_ ? 1 : 0;
    size_t end = i;
    for (; end < to && column + 1 < lines_[end].size(); ++end) {
      width = std::max(width, WidthOf(lines_[end][column]) + 1);
    }
    widths.push_back(width);
    Format(i, end, widths, out, done);
    widths.pop_back();
    i = end - 1;
  }
  Print(*done, to, widths, out);
  *done = to;
}

std::string Table::Flush() {
  std::string out;
  std::vector<size_t> widths;
  size_t done = 0;
  Format(0, lines_.size(), widths, &out, &done);
  lines_.clear();
  return out;
}

}  // namespace kiln::buildctl
