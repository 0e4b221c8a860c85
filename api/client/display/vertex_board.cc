#include "api/client/display/vertex_board.h"

#include <algorithm>
#include <cstdio>

#include "base/strings.h"

namespace kiln::api {
namespace {

constexpr std::string_view kCancelledText = "context canceled";
constexpr size_t kRawTail = 64 << 10;  // bytes of raw output kept for the live view

bool SameInterval(const Interval& a, const Interval& b) {
  return a.start == b.start && a.stop == b.stop;
}

// Seconds with three significant digits, as the log lines carry them.
std::string LogTime(double seconds) {
  char text[32];
  int digits = seconds < 10 ? 3 : seconds < 100 ? 2 : 1;
  std::snprintf(text, sizeof text, "%.*f", digits, seconds);
  return text;
}

void Remerge(BoardVertex* vertex) {
  std::vector<Interval> all;
  for (const auto& [start, interval] : vertex->intervals) all.push_back(interval);
  vertex->merged = MergeIntervals(std::move(all));
}

}  // namespace

double Interval::Seconds() const {
  if (!start.set()) return 0;
  int64_t end = stop.set() ? stop.nanos : Now().nanos;
  return static_cast<double>(end - start.nanos) / 1e9;
}

std::vector<Interval> MergeIntervals(std::vector<Interval> intervals) {
  std::erase_if(intervals, [](const Interval& interval) { return !interval.start.set(); });
  std::sort(intervals.begin(), intervals.end(),
            [](const Interval& a, const Interval& b) { return a.start < b.start; });
  std::vector<Interval> merged;
  for (const Interval& next : intervals) {
    if (merged.empty() || (merged.back().stop.set() && merged.back().stop < next.start)) {
      merged.push_back(next);
    } else if (Interval& last = merged.back(); last.stop.set()) {
      last.stop = next.stop.set() ? std::max(last.stop, next.stop) : Time();
    }
  }
  return merged;
}

bool BoardVertex::cancelled() const { return state.error.ends_with(kCancelledText); }

double BoardVertex::Seconds() const {
  double sum = 0;
  for (const Interval& interval : merged) sum += interval.Seconds();
  return sum;
}

BoardVertex* VertexBoard::Find(const std::string& digest) {
  auto member = group_of_.find(digest);
  auto found = vertices_.find(member == group_of_.end() ? digest : member->second);
  return found == vertices_.end() ? nullptr : found->second.get();
}

BoardVertex* VertexBoard::Make(const std::string& digest) {
  auto& slot = vertices_[digest];
  if (slot == nullptr) slot = std::make_unique<BoardVertex>();
  return slot.get();
}

void VertexBoard::Changed(BoardVertex* vertex, int by) {
  if (vertex->changes == 0) vertex->waiting_since = Now();
  vertex->changes += by;
  changed_.insert(vertex);
}

void VertexBoard::UpdateVertex(const VertexState& state) {
  bool known = vertices_.contains(state.digest);
  BoardVertex* vertex = Make(state.digest);
  bool was_started = known && vertex->started();
  const VertexState& old = vertex->state;
  if (state.started.set() &&
      (state.name != old.name || state.started != old.started || state.cached != old.cached ||
       state.error != old.error || (state.completed.set() && state.completed != old.completed))) {
    Changed(vertex, 1);
  }
  if (state.started.set() && !was_started) {
    if (clock_difference_ == 0) clock_difference_ = Now().nanos - state.started.nanos;
    shown_.push_back(vertex);
  }
  // A vertex that ran may be announced again without its times; that resets nothing.
  if (!was_started || state.started.set()) vertex->state = state;
  if (state.started.set()) {
    vertex->intervals[state.started.nanos] = {state.started, state.completed};
    Remerge(vertex);
  }
}

void VertexBoard::UpdateGroup(Group& group) {
  BoardVertex* vertex = group.vertex;
  bool was_hidden = vertex->hidden;
  bool was_started = vertex->started();
  bool changed = false;
  bool cached = true;
  std::string error;
  for (const auto& [digest, member] : group.members) {
    if (member.started.set()) {
      Interval interval{member.started, member.completed};
      Interval& slot = vertex->intervals[member.started.nanos];
      changed |= !SameInterval(slot, interval);
      slot = interval;
      if (!member.group->weak) vertex->hidden = false;
    }
    cached &= member.cached;
    if (error.empty()) error = member.error;
  }
  if (!error.empty()) vertex->hidden = false;
  changed |= vertex->state.cached != cached || vertex->state.error != error;
  vertex->state.cached = cached;
  vertex->state.error = error;
  Remerge(vertex);
  if (vertex->started() && !was_started && clock_difference_ == 0) {
    clock_difference_ = Now().nanos - vertex->merged[0].start.nanos;
  }
  if (vertex->hidden) return;
  if (was_hidden) shown_.push_back(vertex);
  if (changed || was_hidden) Changed(vertex, 1);
}

void VertexBoard::UpdateStatus(const VertexStatusLine& line) {
  BoardVertex* vertex = Find(line.vertex);
  if (vertex == nullptr) return;
  auto known = vertex->statuses.find(line.id);
  bool was_started = known != vertex->statuses.end() && known->second.started.set();
  if (line.started.set() && !was_started) vertex->status_order.push_back(line.id);
  vertex->statuses[line.id] = line;
  vertex->changed_statuses.insert(line.id);
  Changed(vertex, 1);
}

void VertexBoard::AddLog(const VertexLogBytes& log) {
  BoardVertex* vertex = Find(log.vertex);
  if (vertex == nullptr || log.bytes.empty()) return;
  vertex->log_bytes += static_cast<int64_t>(log.bytes.size());
  vertex->raw_tail += log.bytes;
  if (vertex->raw_tail.size() > 2 * kRawTail) {
    vertex->raw_tail.erase(0, vertex->raw_tail.size() - kRawTail);
  }
  double seconds = 0;
  if (vertex->started()) {
    // A step that starts once more may have spoken just before.
    int64_t nanos = std::max<int64_t>(log.timestamp.nanos - vertex->merged.back().start.nanos, 0);
    seconds = static_cast<double>(nanos) / 1e9;
  }
  std::string_view rest = log.bytes;
  while (!rest.empty()) {
    size_t newline = rest.find('\n');
    std::string_view part = rest.substr(0, newline);
    if (vertex->last_line_open && !vertex->log_lines.empty()) {
      vertex->log_lines.back() += part;
    } else {
      vertex->log_lines.push_back(StrCat(LogTime(seconds), " ", part));
    }
    vertex->last_line_open = newline == std::string_view::npos;
    rest.remove_prefix(vertex->last_line_open ? rest.size() : newline + 1);
  }
  Changed(vertex, 1);
}

void VertexBoard::Update(const SolveStatus& status) {
  std::vector<std::string> touched;
  for (const VertexState& state : status.vertexes) {
    if (!first_start_.set()) first_start_ = state.started;
    if (!state.group) {
      UpdateVertex(state);
      continue;
    }
    Group& group = groups_[state.group->id];
    if (group.vertex == nullptr) {
      group.vertex = Make(state.group->id);
      group.vertex->state.digest = state.group->id;
      group.vertex->state.name = state.group->name;
      group.vertex->is_group = true;
      group.vertex->hidden = true;
    }
    group.members[state.digest] = state;
    group_of_[state.digest] = state.group->id;
    if (std::find(touched.begin(), touched.end(), state.group->id) == touched.end()) {
      touched.push_back(state.group->id);
    }
  }
  for (const std::string& id : touched) UpdateGroup(groups_[id]);
  for (const VertexStatusLine& line : status.statuses) UpdateStatus(line);
  for (const VertexWarningText& warning : status.warnings) {
    if (BoardVertex* vertex = Find(warning.vertex)) {
      vertex->warnings.push_back(warning);
      vertex->changes += 1;
    }
  }
  for (const VertexLogBytes& log : status.logs) AddLog(log);
}

std::string VertexBoard::ErrorBlocks() const {
  std::string out;
  for (const BoardVertex* vertex : shown_) {
    if (vertex->state.error.empty() || vertex->cancelled()) continue;
    out += StrCat("------\n > ", vertex->state.name, ":\n");
    for (const std::string& line : vertex->last_lines) out += line + "\n";
    for (const std::string& line : vertex->log_lines) out += line + "\n";
    out += "------\n";
  }
  return out;
}

}  // namespace kiln::api
