// The live view: a header, one line per vertex and status, output of running steps.
// Each frame moves up over the last one and writes every line anew.
#include <sys/ioctl.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "api/client/display/colors.h"
#include "api/client/display/displays.h"
#include "api/client/display/terminal_tail.h"
#include "api/client/display/vertex_board.h"
#include "base/file.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

constexpr int kMinimumTail = 6;   // lines of output per running step
constexpr int64_t kFramePause = 100'000'000;  // ns

struct Row {
  std::vector<Interval> intervals;
  std::string name;
  std::string status;
  bool completed = false;
  bool error = false;
  bool cancelled = false;
  BoardVertex* vertex = nullptr;  // null for rows of statuses and warnings
  bool show_output = false;
};

double Sum(const std::vector<Interval>& intervals) {
  double sum = 0;
  for (const Interval& interval : intervals) sum += interval.Seconds();
  return sum;
}

std::string Format(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// `left`, blanks, `right`, as wide as the screen.
std::string Align(const std::string& left, const std::string& right, int width) {
  int room = width - static_cast<int>(right.size()) - 1;
  std::string out = left;
  if (static_cast<int>(out.size()) < room) out.resize(static_cast<size_t>(room), ' ');
  return StrCat(out, " ", right);
}

int TailLines() {
  const char* text = std::getenv("BUILDKIT_TTY_LOG_LINES");
  int64_t lines = 0;
  return text != nullptr && ParseInt64(text, &lines) && lines > 0 && lines < 1000
             ? static_cast<int>(lines)
             : kMinimumTail;
}

class TtyDisplay : public Display {
 public:
  TtyDisplay(int fd, std::string phase)
      : fd_(fd), phase_(std::move(phase)), colors_(ColorsOfEnvironment()), tail_(TailLines()) {}

  void Update(const SolveStatus& status) override {
    board_.Update(status);
    int64_t now = Now().nanos;
    if (now - last_frame_ < kFramePause) return;
    last_frame_ = now;
    Frame(false);
  }
  void Refresh() override { Frame(false); }
  void Done() override {
    Frame(true);
    WriteAll(fd_, board_.ErrorBlocks()).IgnoreError();
  }

 private:
  void Measure() {
    winsize size{};
    width_ = 80;
    height_ = 10;
    if (::ioctl(fd_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
      width_ = size.ws_col;
      height_ = size.ws_row;
    }
  }

  std::vector<Row> Rows() const {
    std::vector<Row> rows;
    const int64_t shift = board_.clock_difference();
    auto local = [shift](Interval interval) {
      if (interval.start.set()) interval.start.nanos += shift;
      if (interval.stop.set()) interval.stop.nanos += shift;
      return interval;
    };
    for (BoardVertex* vertex : board_.shown()) {
      Row row;
      row.vertex = vertex;
      for (const Interval& interval : vertex->merged) row.intervals.push_back(local(interval));
      row.completed = vertex->completed();
      row.name = ReplaceAll(vertex->state.name, "\t", " ");
      if (vertex->cancelled()) {
        row.cancelled = true;
        row.name = "CANCELED " + row.name;
      } else if (!vertex->state.error.empty()) {
        row.error = true;
        row.name = "ERROR " + row.name;
      }
      if (vertex->state.cached) row.name = "CACHED " + row.name;
      rows.push_back(std::move(row));
      for (const std::string& id : vertex->status_order) {
        const VertexStatusLine& line = vertex->statuses.at(id);
        Row status;
        status.intervals = {local({line.started, line.completed})};
        status.completed = line.completed.set();
        status.name = "=> " + id;
        if (line.total != 0) {
          status.status = StrCat(FormatBytes(line.current), " / ", FormatBytes(line.total));
        } else if (line.current != 0) {
          status.status = FormatBytes(line.current);
        }
        rows.push_back(std::move(status));
      }
      for (const VertexWarningText& warning : vertex->warnings) {
        Row row_of_warning;
        if (!vertex->merged.empty()) row_of_warning.intervals = {local(vertex->merged.back())};
        row_of_warning.name = "WARN: " + warning.short_text;
        row_of_warning.cancelled = true;
        rows.push_back(std::move(row_of_warning));
      }
    }
    return rows;
  }

  // Gives free lines of the screen to the output of running steps, then cuts what
  // does not fit: the oldest rows, but running ones take the place of finished ones.
  void Fit(std::vector<Row>* rows, bool all) {
    std::vector<Row*> candidates;
    int running = 0;
    for (Row& row : *rows) {
      running += row.completed ? 0 : 1;
      if (row.vertex != nullptr && row.vertex->log_bytes > 0 && !row.completed) {
        candidates.push_back(&row);
      }
    }
    std::sort(candidates.begin(), candidates.end(), [this](const Row* a, const Row* b) {
      return Weight(a->vertex) > Weight(b->vertex);
    });
    lines_ = std::max(kMinimumTail, std::min(tail_, height_ - kMinimumTail - 1));
    int used = 0;
    int free = height_ - 2 - running;
    for (Row* row : candidates) {
      if (free <= lines_ + 3) break;
      row->show_output = true;
      used += static_cast<int>(Tail(row->vertex).size());
      free -= lines_ + 3;
    }
    if (!all) Cut(rows, static_cast<size_t>(std::max(0, height_ - 2 - used)));
  }
  int64_t Weight(BoardVertex* vertex) { return vertex->log_bytes + shown_count_[vertex] * 50; }
  std::vector<std::string> Tail(const BoardVertex* vertex) const {
    return TerminalTail(vertex->raw_tail, static_cast<size_t>(lines_),
                        static_cast<size_t>(std::max(1, width_ - 10)));
  }

  static void Cut(std::vector<Row>* rows, size_t limit) {
    if (rows->size() <= limit) return;
    std::vector<Row> kept;
    auto first = rows->end() - static_cast<std::ptrdiff_t>(limit);
    for (auto row = rows->begin(); row != first; ++row) {
      if (!row->completed) kept.push_back(std::move(*row));
    }
    size_t to_drop = std::min(kept.size(), limit);
    for (; first != rows->end(); ++first) {
      if (first->completed && to_drop > 0) {
        --to_drop;
      } else {
        kept.push_back(std::move(*first));
      }
    }
    if (kept.size() > limit) kept.erase(kept.begin(), kept.end() - static_cast<std::ptrdiff_t>(limit));
    *rows = std::move(kept);
  }

  std::string Header(bool all) const {
    int total = 0;
    int done = 0;
    for (const auto& [digest, vertex] : board_.all()) {
      if (vertex->hidden) continue;
      ++total;
      done += vertex->completed() ? 1 : 0;
    }
    double seconds = 0;
    if (board_.first_start().set()) {
      seconds = Interval{Time{board_.first_start().nanos + board_.clock_difference()}, {}}.Seconds();
    }
    std::string out = StrCat("[+] ", phase_, " ", Format("%.1f", seconds), "s (", done, "/", total,
                             ") ", all && done > 0 && done == total ? "FINISHED" : "");
    out = Align(out, "", width_);
    if (static_cast<int>(out.size()) > width_) out.resize(static_cast<size_t>(width_));
    return out + "\n";
  }

  // One row; "" if the screen is too narrow.
  std::string Line(const Row& row) const {
    double seconds = Sum(row.intervals);
    if (seconds < 0.05) seconds = 0;
    std::string timer = Format(" %3.1fs\n", seconds);
    int left = width_ - 4 - static_cast<int>(timer.size()) - 1;
    bool show_status = !row.status.empty() && left + static_cast<int>(row.status.size()) > 20;
    if (show_status) left -= static_cast<int>(row.status.size()) + 1;
    if (left < 12) return {};
    std::string out = StrCat(" => ", row.name.substr(0, static_cast<size_t>(left)));
    if (show_status) out += " " + row.status;
    out = Align(out, timer, width_);
    if (!row.completed) return out;
    const std::string& color = row.cancelled ? colors_.cancelled
                               : row.error   ? colors_.error
                                             : colors_.run;
    return color.empty() ? out : StrCat(color, out, "\x1b[0m");
  }

  void Frame(bool all) {
    Measure();
    std::vector<Row> rows = Rows();
    Fit(&rows, all);
    std::string out;
    int up = last_lines_ + (repeated_ ? 1 : 0);
    if (up > 0) out += StrCat("\x1b[", up, "A");
    out += "\x1b[0G\x1b[?25l";
    repeated_ = true;
    out += Header(all);
    int lines = 0;
    for (const Row& row : rows) {
      if (row.intervals.empty() || !row.intervals[0].start.set()) continue;
      std::string line = Line(row);
      if (line.empty()) continue;
      out += line;
      ++lines;
      if (!row.show_output) continue;
      for (const std::string& text : Tail(row.vertex)) {
        out += StrCat("\x1b[2m => => # ", text, "\n\x1b[0m");
        ++lines;
      }
      ++shown_count_[row.vertex];
    }
    if (int rest = last_lines_ - lines; rest > 0) {
      for (int i = 0; i < rest; ++i) out += std::string(static_cast<size_t>(width_), ' ') + "\n";
      out += StrCat("\x1b[", rest, "A\x1b[0G");
    }
    last_lines_ = lines;
    out += "\x1b[?25h";
    WriteAll(fd_, out).IgnoreError();
  }

  int fd_;
  std::string phase_;
  DisplayColors colors_;
  int tail_;
  VertexBoard board_;
  std::map<BoardVertex*, int64_t> shown_count_;
  int width_ = 80;
  int height_ = 10;
  int lines_ = kMinimumTail;
  int last_lines_ = 0;
  bool repeated_ = false;
  int64_t last_frame_ = 0;
};

}  // namespace

std::unique_ptr<Display> NewTtyDisplay(int fd, std::string phase) {
  return std::make_unique<TtyDisplay>(fd, std::move(phase));
}

}  // namespace kiln::api
