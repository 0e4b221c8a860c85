// systemd's readiness protocol: one datagram to $NOTIFY_SOCKET.
#pragma once

#include <string_view>

namespace kiln::buildkitd {

// "READY=1", "STOPPING=1". Nothing happens without the variable.
void NotifyService(std::string_view state);

}  // namespace kiln::buildkitd
