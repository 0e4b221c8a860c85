#include "api/client/display/display.h"

#include <unistd.h>

#include <cstdlib>

#include "api/client/display/displays.h"
#include "api/client/display/plain_display.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

class QuietDisplay : public Display {
 public:
  void Update(const SolveStatus&) override {}
  void Refresh() override {}
  void Done() override {}
};

}  // namespace

StatusOr<std::unique_ptr<Display>> NewDisplay(std::string_view mode,
                                              const DisplayOptions& options) {
  if (mode == "rawjson") return NewJsonDisplay(options.fd);
  if (mode == "quiet") return std::unique_ptr<Display>(std::make_unique<QuietDisplay>());
  if (mode == "plain") {
    return std::unique_ptr<Display>(std::make_unique<PlainDisplay>(options.fd));
  }
  if (mode != "tty" && mode != "auto" && !mode.empty()) {
    return InvalidArgumentError(StrCat("invalid progress mode ", mode));
  }
  if (::isatty(options.fd) == 1) return NewTtyDisplay(options.fd, options.phase);
  if (mode == "tty") {
    return InvalidArgumentError("failed to get console: provided file is not a console");
  }
  return std::unique_ptr<Display>(std::make_unique<PlainDisplay>(options.fd));
}

int RefreshMillis() {
  const char* text = std::getenv("TTY_DISPLAY_RATE");
  int64_t rate = 0;
  return text != nullptr && ParseInt64(text, &rate) && rate > 0 && rate < 60'000
             ? static_cast<int>(rate)
             : 150;
}

}  // namespace kiln::api
