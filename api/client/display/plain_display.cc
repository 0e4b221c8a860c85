// Plain display: lines for a log file. One vertex is in front at a time; it gives
// way when it is done, or when others have waited long enough.
#include "api/client/display/plain_display.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

constexpr double kAntiFlicker = 5;        // seconds: how long a vertex stays in front at least
constexpr double kLongestWait = 10;       // seconds: then any vertex with news comes first
constexpr double kStatusPause = 5;        // seconds between lines of one status …
constexpr double kStatusStep = 0.05;      // … unless it grew by this share
constexpr size_t kErrorLines = 10;        // lines of output that an error block repeats
constexpr int64_t kPrintPause = 100'000'000;  // ns between prints

std::string Tenths(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", seconds);
  return text;
}

double Since(Time time) { return static_cast<double>(Now().nanos - time.nanos) / 1e9; }

}  // namespace

void PlainDisplay::Update(const SolveStatus& status) {
  board_.Update(status);
  int64_t now = Now().nanos;
  if (now - last_print_ < kPrintPause) return;
  last_print_ = now;
  Refresh();
}

void PlainDisplay::Refresh() {
  Print();
  Flush();
}

void PlainDisplay::Done() {
  Print();
  out_ += board_.ErrorBlocks();
  Flush();
}

void PlainDisplay::Flush() {
  WriteAll(fd_, out_).IgnoreError();
  out_.clear();
}

void PlainDisplay::BringToFront(BoardVertex* vertex) {
  if (vertex == current_) return;
  if (current_ != nullptr) {
    if (current_->last_line_open) out_ += "\n";
    current_->printed_of_open_line = 0;
    current_->changes = 0;
    out_ += StrCat("#", current_->index, " ...\n");
  }
  if (printed_any_) out_ += "\n";
  printed_any_ = true;
  const char* truncate = std::getenv("PROGRESS_NO_TRUNC");
  std::string name = vertex->state.name;
  if (truncate != nullptr && std::string_view(truncate) == "0" && name.size() > 72) {
    name = name.substr(0, 72) + "...";
  }
  out_ += StrCat("#", vertex->index, " ", name, "\n");
}

// True if a status of the vertex is still going on.
bool PlainDisplay::PrintStatuses(BoardVertex* vertex) {
  bool open = false;
  for (const std::string& id : vertex->status_order) {
    if (!vertex->changed_statuses.contains(id)) continue;
    const VertexStatusLine& line = vertex->statuses[id];
    auto last = last_status_.find(id);
    if (last != last_status_.end() && !line.completed.set()) {
      double grown = line.total > 0 ? static_cast<double>(line.current - last->second.current) /
                                          static_cast<double>(line.total)
                                    : 0;
      double passed =
          static_cast<double>(line.timestamp.nanos - last->second.timestamp.nanos) / 1e9;
      if (grown < kStatusStep && passed < kStatusPause) continue;
    }
    last_status_[id] = {line.current, line.timestamp};
    out_ += StrCat("#", vertex->index, " ", line.id);
    if (line.total != 0) {
      out_ += StrCat(" ", FormatBytes(line.current), " / ", FormatBytes(line.total));
    } else if (line.current != 0) {
      out_ += StrCat(" ", FormatBytes(line.current));
    }
    if (line.started.set()) {
      Time end = line.completed.set() ? line.completed : line.timestamp;
      double seconds = static_cast<double>(end.nanos - line.started.nanos) / 1e9;
      if (seconds > 0.01) out_ += StrCat(" ", Tenths(seconds), "s");
    }
    if (line.completed.set()) {
      out_ += " done";
    } else {
      open = true;
    }
    out_ += "\n";
  }
  vertex->changed_statuses.clear();
  return open;
}

void PlainDisplay::PrintLogs(BoardVertex* vertex) {
  std::vector<std::string>& lines = vertex->log_lines;
  for (size_t i = 0; i < lines.size(); ++i) {
    bool last = i + 1 == lines.size();
    if (i == 0 && vertex->printed_of_open_line != 0) {
      out_ += lines[i].substr(vertex->printed_of_open_line);
    } else {
      out_ += StrCat("#", vertex->index, " ", lines[i]);
    }
    if (!last || !vertex->last_line_open) {
      out_ += "\n";
      vertex->last_lines.push_back(lines[i]);
      if (vertex->last_lines.size() > kErrorLines) vertex->last_lines.pop_front();
    }
  }
  if (lines.empty()) return;
  if (vertex->last_line_open) {
    lines.erase(lines.begin(), lines.end() - 1);
    vertex->printed_of_open_line = lines[0].size();
  } else {
    lines.clear();
    vertex->printed_of_open_line = 0;
  }
}

void PlainDisplay::PrintEnd(BoardVertex* vertex) {
  current_ = nullptr;
  vertex->changes = 0;
  if (vertex->last_line_open && !vertex->log_lines.empty()) {
    out_ += "\n";
    vertex->last_line_open = false;
    vertex->last_lines.push_back(std::move(vertex->log_lines[0]));
    if (vertex->last_lines.size() > kErrorLines) vertex->last_lines.pop_front();
    vertex->log_lines.clear();
    vertex->printed_of_open_line = 0;
  }
  out_ += StrCat("#", vertex->index);
  if (vertex->cancelled()) {
    out_ += " CANCELED\n";
  } else if (!vertex->state.error.empty()) {
    out_ += StrCat(" ERROR: ", vertex->state.error, "\n");
  } else if (vertex->state.cached) {
    out_ += " CACHED\n";
  } else {
    out_ += StrCat(" DONE ", Tenths(vertex->Seconds()), "s\n");
  }
}

void PlainDisplay::PrintVertex(BoardVertex* vertex) {
  if (vertex->index == 0) vertex->index = ++last_index_;
  BringToFront(vertex);
  bool open_status = PrintStatuses(vertex);
  for (; vertex->printed_warnings < vertex->warnings.size(); ++vertex->printed_warnings) {
    out_ += StrCat("#", vertex->index, " WARN: ",
                   vertex->warnings[vertex->printed_warnings].short_text, "\n");
  }
  PrintLogs(vertex);
  current_ = vertex;
  if (vertex->completed() && !open_status) PrintEnd(vertex);
  board_.changed().erase(vertex);
}

// Among those that still run and have news, the one that should be in front; null: stay.
BoardVertex* PlainDisplay::Next(const std::vector<BoardVertex*>& waiting, bool current_ended) {
  double sum = 0;
  BoardVertex* fastest = nullptr;
  BoardVertex* overdue = nullptr;
  double best = -1;
  auto speed = [](const BoardVertex* vertex) {
    return vertex->changes / std::max(Since(vertex->waiting_since), 1e-9);
  };
  for (BoardVertex* vertex : waiting) {
    if (!vertex->waiting_since.set()) continue;
    sum += speed(vertex);
    if (vertex != current_ && Since(vertex->waiting_since) > kLongestWait) overdue = vertex;
    if (speed(vertex) > best) {
      best = speed(vertex);
      fastest = vertex;
    }
  }
  if (current_ended || current_ == nullptr) return overdue != nullptr ? overdue : fastest;
  if (overdue != nullptr) return overdue;
  if (sum <= 0 || !current_->waiting_since.set()) return nullptr;
  // The larger its share of the news, the longer it stays.
  double others = 1 - speed(current_) / sum;
  bool had_its_turn = others > 0 && kAntiFlicker / others < Since(current_->waiting_since);
  return had_its_turn ? fastest : nullptr;
}

void PlainDisplay::Print() {
  std::vector<BoardVertex*> completed;
  std::vector<BoardVertex*> running;
  for (BoardVertex* vertex : board_.changed()) {
    if (vertex->hidden || !vertex->started()) continue;
    (vertex->completed() ? completed : running).push_back(vertex);
  }
  std::sort(completed.begin(), completed.end(), [&](const BoardVertex* a, const BoardVertex* b) {
    // The one in front first, then by the time of their end.
    if ((a == current_) != (b == current_)) return a == current_;
    return a->merged.back().stop < b->merged.back().stop;
  });
  std::sort(running.begin(), running.end(), [](const BoardVertex* a, const BoardVertex* b) {
    return a->merged[0].start < b->merged[0].start;
  });
  BoardVertex* before = current_;
  bool current_ended =
      before != nullptr && std::find(completed.begin(), completed.end(), before) != completed.end();
  for (BoardVertex* vertex : completed) PrintVertex(vertex);
  if (running.empty()) {
    if (current_ != nullptr && current_->started() && !current_->completed()) return;
    for (BoardVertex* vertex : board_.shown()) {
      if (vertex->started() && !vertex->completed() && !vertex->hidden) {
        return PrintVertex(vertex);
      }
    }
    return;
  }
  if (current_ != nullptr &&
      std::find(running.begin(), running.end(), current_) != running.end()) {
    PrintVertex(current_);
  } else if (current_ != nullptr) {
    running.push_back(current_);
  }
  if (BoardVertex* next = Next(running, current_ended)) PrintVertex(next);
}

std::string FormatBytes(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000 && bytes > -1000) return StrCat(bytes, "B");
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while ((value >= 1000 || value <= -1000) && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.2f%s", value, kUnits[unit]);
  return text;
}

}  // namespace kiln::api
