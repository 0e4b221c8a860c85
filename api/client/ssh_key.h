// One private key of a file: its public half in SSH's form, and signatures.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kiln::api {

struct FreePkey {
  void operator()(EVP_PKEY* key) const;
};
using PkeyPtr = std::unique_ptr<EVP_PKEY, FreePkey>;

// RSA, ECDSA on NIST's curves, Ed25519. UNKNOWN "ssh: …" in the words of Go's library.
StatusOr<PkeyPtr> ParsePrivateKey(std::string_view text);

// The public half as SSH sends it; "" for other kinds of key.
std::string PublicBlob(const EVP_PKEY& key);

// `flags` choose the hash for RSA (2: SHA-256, 4: SHA-512). "" if it fails.
std::string SignBlob(EVP_PKEY& key, std::string_view data, uint32_t flags);

}  // namespace kiln::api
