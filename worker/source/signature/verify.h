// Signatures of downloads and of git objects, checked by GnuPG's gpgv and OpenSSH's
// ssh-keygen; only the armor around the keys is read here. Error texts follow the
// reference's util/pgpsign and util/gitutil/gitsign.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln::worker {

struct SignaturePolicy {
  bool reject_expired = false;
};

// A detached armored OpenPGP signature over the file at `path`. `keys` are armored blocks.
// Files are made below `temp_dir`. Blocks. FAILED_PRECONDITION if gpgv is not installed.
Status VerifyPgp(const std::string& path, std::string_view signature, std::string_view keys,
                 const SignaturePolicy& policy, const std::string& temp_dir);

// A commit or tag as `git cat-file` prints it, signed with OpenPGP or SSH. "git object is
// not signed".
Status VerifyGitObject(std::string_view raw, std::string_view keys, const SignaturePolicy& policy,
                       const std::string& temp_dir);

// The binary keys of armored blocks. "failed to read armored public key: …".
StatusOr<std::string> DearmorKeys(std::string_view keys);

}  // namespace kiln::worker
