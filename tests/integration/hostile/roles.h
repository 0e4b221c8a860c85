// The two roles of hostile-peer; each gives the exit status of the program.
#pragma once

#include <string>
#include <vector>

#include "tests/integration/hostile/packet_script.h"

namespace kiln {

// 0 if the build is done, else 1; its error is printed.
int BeClient(const std::string& address, bool takes_export, const std::vector<std::string>& script);
// Ends when the build has been returned or its client has gone.
int BeDaemon(const std::string& socket, const std::vector<std::string>& script);

}  // namespace kiln
