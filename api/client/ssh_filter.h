// SshFilter: lets a build list keys and sign, and nothing else.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln::api {

// Cuts the byte stream of an agent client into requests. Not thread-safe.
class SshFilter {
 public:
  // `pass` gets the requests that may go on, `refused` the agent's failure message
  // for each of the others. Fails for requests above 256 KiB.
  Status Pass(std::string_view bytes, std::string* pass, std::string* refused);

 private:
  std::string rest_;
};

}  // namespace kiln::api
