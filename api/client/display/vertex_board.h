// VertexBoard: what is known of each vertex, put together from messages.
//
// Shared by the displays for people. Vertices of one progress group are shown as
// one; a group is hidden until a member that is not weak has started.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "api/client/display/solve_status.h"

namespace kiln::api {

// A time span; an unset stop means "until now".
struct Interval {
  Time start;
  Time stop;
  double Seconds() const;
};
// Joins overlapping spans; what has no start is left out.
std::vector<Interval> MergeIntervals(std::vector<Interval> intervals);

struct BoardVertex {
  VertexState state;
  int index = 0;                        // "#3"; 0: not printed yet
  bool is_group = false;
  bool hidden = false;
  std::map<int64_t, Interval> intervals;  // by start
  std::vector<Interval> merged;
  std::vector<std::string> status_order;
  std::map<std::string, VertexStatusLine> statuses;
  std::set<std::string> changed_statuses;
  std::vector<VertexWarningText> warnings;
  size_t printed_warnings = 0;

  std::vector<std::string> log_lines;   // "0.123 text", not printed yet
  bool last_line_open = false;          // the last one has no newline yet
  size_t printed_of_open_line = 0;
  std::deque<std::string> last_lines;   // printed ones, for the error block
  int64_t log_bytes = 0;
  std::string raw_tail;                 // end of the raw output, for the live view

  int changes = 0;                      // since it was last in front
  Time waiting_since;

  bool started() const { return !merged.empty(); }
  bool completed() const { return started() && merged.back().stop.set(); }
  bool cancelled() const;
  double Seconds() const;               // sum over its spans
};

// Not thread-safe.
class VertexBoard {
 public:
  void Update(const SolveStatus& status);

  // Started vertices in order of their start.
  const std::vector<BoardVertex*>& shown() const { return shown_; }
  const std::map<std::string, std::unique_ptr<BoardVertex>>& all() const { return vertices_; }
  std::set<BoardVertex*>& changed() { return changed_; }
  Time first_start() const { return first_start_; }
  int64_t clock_difference() const { return clock_difference_; }  // ours minus the daemon's, ns

  // The blocks of failed vertices with their last lines of output.
  std::string ErrorBlocks() const;

 private:
  struct Group {
    BoardVertex* vertex = nullptr;
    std::map<std::string, VertexState> members;
  };
  BoardVertex* Find(const std::string& digest);
  BoardVertex* Make(const std::string& digest);
  void UpdateVertex(const VertexState& state);
  void UpdateGroup(Group& group);
  void UpdateStatus(const VertexStatusLine& line);
  void AddLog(const VertexLogBytes& log);
  void Changed(BoardVertex* vertex, int by);

  std::map<std::string, std::unique_ptr<BoardVertex>> vertices_;
  std::map<std::string, std::string> group_of_;  // member digest → group id
  std::map<std::string, Group> groups_;
  std::vector<BoardVertex*> shown_;
  std::set<BoardVertex*> changed_;
  Time first_start_;
  int64_t clock_difference_ = 0;
};

}  // namespace kiln::api
