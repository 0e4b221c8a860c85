// SshKeyring: private keys of files, offered as an SSH agent offers them.
//
// Answers the two requests that a build needs, listing and signing; others are refused.
// Keys never leave it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kiln::api {

// Thread-safe once filled.
class SshKeyring {
 public:
  SshKeyring();
  ~SshKeyring();
  SshKeyring(SshKeyring&&) noexcept;
  SshKeyring& operator=(SshKeyring&&) noexcept;

  // A key in PEM (PKCS#1, PKCS#8, SEC 1) or OpenSSH's form. UNKNOWN "ssh: no key found",
  // "ssh: this private key is passphrase protected".
  Status Add(std::string_view text);
  // The answer to one request (type and body, without its length), with its length.
  std::string Answer(std::string_view request) const;

 private:
  struct Key;
  std::vector<Key> keys_;
};

// Cuts requests out of a stream and answers them. One connection, one thread.
class SshAgentConversation {
 public:
  explicit SshAgentConversation(const SshKeyring& keys) : keys_(keys) {}
  // INVALID_ARGUMENT for requests that are none.
  Status Feed(std::string_view bytes, std::string* answers);

 private:
  const SshKeyring& keys_;
  std::string rest_;
};

}  // namespace kiln::api
