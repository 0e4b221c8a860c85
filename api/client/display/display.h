// Display: shows a build's progress to a person or a program.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "api/client/display/solve_status.h"
#include "base/status.h"

namespace kiln::api {

// Used by one thread. The caller paces it: Update per message, Refresh when nothing came
// for RefreshMillis, Done once at the end.
class Display {
 public:
  virtual ~Display() = default;
  virtual void Update(const SolveStatus& status) = 0;
  virtual void Refresh() = 0;
  virtual void Done() = 0;
};

struct DisplayOptions {
  int fd = 2;                        // where it writes
  std::string phase = "Building";    // the word behind "[+]"
};

// "auto" (or ""), "plain", "tty", "rawjson", "quiet". INVALID_ARGUMENT for others, and for
// "tty" where `fd` is no terminal.
StatusOr<std::unique_ptr<Display>> NewDisplay(std::string_view mode, const DisplayOptions& options);

// Milliseconds between refreshes; TTY_DISPLAY_RATE sets it.
int RefreshMillis();

// "1.23kB", "10B": decimal units, two digits.
std::string FormatBytes(int64_t bytes);

}  // namespace kiln::api
