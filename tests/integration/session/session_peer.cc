// A client whose session has the services that buildctl does not serve:
//
//   session-peer policy ADDRESS IMAGE ANSWER…   builds the image; each question about a source
//       gets the next answer and is printed with what the daemon knows of it:
//         allow | deny TEXT | convert REFERENCE | nothing
//         look [PREDICATE]    asks for the chain of attestations first, with its statements
//         other REFERENCE     asks about another source
//   session-peer exporter ADDRESS TYPE [KEY=VALUE…]   builds a file; names that exporter
//         TYPE none           names no exporter; TYPE fail: refuses to say
//   session-peer health ADDRESS TIMEOUT CHECKS   a session with that header ("-": none), which
//       answers so many health checks; printed is how long that and its end took, in ms
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/integration/session/roles.h"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const std::string role = argv[1];
  const std::vector<std::string> rest(argv + 4, argv + argc);
  if (role == "policy") return kiln::BeAsked(argv[2], argv[3], rest);
  if (role == "exporter") return kiln::BeExporter(argv[2], argv[3], rest);
  if (role == "health" && rest.size() == 1) {
    return kiln::BeSilent(argv[2], argv[3], std::atoi(rest[0].c_str()));
  }
  return 2;
}
