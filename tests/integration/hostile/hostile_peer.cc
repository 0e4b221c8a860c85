// The other end of a file transfer, made by hand: hostile-peer ROLE ADDRESS SCRIPT…
//
//   local ADDRESS    a client whose folder the daemon at ADDRESS reads
//   export ADDRESS   a client that takes a result of that daemon
//   daemon SOCKET    a daemon for one build of a client: it sends a result for an export of
//                    type local and reads the folder "context" otherwise
//
// For the case filesync_hostile.sh; the words of scripts are in packet_script.h.
#include <cstdio>
#include <string>
#include <vector>

#include "tests/integration/hostile/roles.h"

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::string role = argv[1];
  const std::vector<std::string> script(argv + 3, argv + argc);
  if (role == "daemon") return kiln::BeDaemon(argv[2], script);
  return kiln::BeClient(argv[2], role == "export", script);
}
