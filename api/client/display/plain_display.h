// PlainDisplay: progress as lines of text; see plain_display.cc.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/client/display/display.h"
#include "api/client/display/vertex_board.h"

namespace kiln::api {

class PlainDisplay : public Display {
 public:
  explicit PlainDisplay(int fd) : fd_(fd) {}
  void Update(const SolveStatus& status) override;
  void Refresh() override;
  void Done() override;

 private:
  struct LastStatus {
    int64_t current = 0;
    Time timestamp;
  };
  void Print();
  void PrintVertex(BoardVertex* vertex);
  void BringToFront(BoardVertex* vertex);
  bool PrintStatuses(BoardVertex* vertex);
  void PrintLogs(BoardVertex* vertex);
  void PrintEnd(BoardVertex* vertex);
  BoardVertex* Next(const std::vector<BoardVertex*>& waiting, bool current_ended);
  void Flush();

  int fd_;
  VertexBoard board_;
  std::string out_;
  BoardVertex* current_ = nullptr;
  std::map<std::string, LastStatus> last_status_;
  bool printed_any_ = false;
  int last_index_ = 0;
  int64_t last_print_ = 0;
};

}  // namespace kiln::api
