// Network namespaces: making them, working inside them, joining two by a pair of links.
//
// Needs CAP_SYS_ADMIN and CAP_NET_ADMIN. The calling thread keeps its own namespace: what
// has to happen inside another one happens on a thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"
#include "base/unique_fd.h"

namespace kiln::worker::netns {

// An empty namespace that lives as long as somebody has it open or runs in it.
StatusOr<UniqueFd> New();
// The same, and bound to the file `path` (made if missing) until Unbind.
StatusOr<UniqueFd> NewAt(const std::string& path);
// Of a bound namespace; `path` may as well be a plain file, or not be there.
void Unbind(const std::string& path);

// Moves the calling thread, for good.
Status Enter(int ns);
// Runs `work` inside, and waits for it.
Status RunIn(int ns, const std::function<Status()>& work);

// One end of a pair: an interface that will be up, with an address in host byte order.
struct LinkEnd {
  int ns = -1;
  std::string name = {};
  uint32_t address = 0;
};
// Makes a pair of virtual links (veth) and brings both ends and their loopbacks up. It goes
// with either namespace.
Status Join(const LinkEnd& first, const LinkEnd& second, int prefix);

}  // namespace kiln::worker::netns
