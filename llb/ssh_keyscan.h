// Who asks an SSH server for its key while a Git source is made (llb::Git).
//
// The reference's client library dials the server itself; here the program says who does,
// once, before it compiles anything. Programs that say nothing (dockerfile2llb, tests)
// never touch the network, and the source then has no known hosts.
#pragma once

#include <functional>
#include <string>

namespace kiln::llb {

// A line of a known_hosts file for `host` ("name" or "name:port"); "" if it does not answer.
using SshKeyScan = std::function<std::string(const std::string& host)>;

// Not thread-safe: before other threads start.
void SetSshKeyScan(SshKeyScan scan);
// Thread-safe. Blocks as long as the scan does.
std::string ScanSshKey(const std::string& host);

}  // namespace kiln::llb
