// The key of an SSH server, by OpenSSH's ssh-keyscan. For llb::SetSshKeyScan.
#pragma once

#include <string>
#include <string_view>

namespace kiln::worker {

// Blocks for some seconds at most. "" if the server or the program is not there.
std::string ScanSshHost(const std::string& host);

// Of what ssh-keyscan found, the key that the reference's SSH client would agree on with
// a server that has them all. "" if there is none.
std::string PreferredHostKey(std::string_view found);

}  // namespace kiln::worker
