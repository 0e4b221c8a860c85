// Reads PEM files. gRPC takes what is none without a word, and then serves nobody.
#include "cmd/buildkitd/tls_files.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "base/file.h"
#include "base/strings.h"

namespace kiln::buildkitd {
namespace {

StatusOr<std::string> ReadPem(const std::string& path, std::string_view what) {
  auto text = ReadFile(path);
  if (text.ok()) return text;
  // Go names the call and the path once.
  size_t colon = text.status().message().rfind(": ");
  std::string reason = text.status().message();
  if (colon != std::string::npos) reason = reason.substr(colon + 2);
  return Status(text.status().code(), StrCat(what, ": open ", path, ": ", reason));
}

template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* object) const { Free(object); }
};
template <typename T, auto Free>
using Owned = std::unique_ptr<T, FreeWith<Free>>;

Owned<BIO, BIO_free> Source(const std::string& text) {
  return Owned<BIO, BIO_free>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// In Go's words.
Status CheckPair(const std::string& certificate_pem, const std::string& key_pem) {
  auto fault = [](std::string_view what) {
    return InvalidArgumentError(StrCat("could not load server key pair: tls: ", what));
  };
  Owned<X509, X509_free> certificate(
      PEM_read_bio_X509(Source(certificate_pem).get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) {
    return fault(Contains(certificate_pem, "PRIVATE KEY")
                     ? "failed to find certificate PEM data in certificate input, but did find a "
                       "private key; PEM inputs may have been switched"
                     : "failed to find any PEM data in certificate input");
  }
  auto no_password = [](char*, int, int, void*) { return 0; };  // else a terminal is asked
  Owned<EVP_PKEY, EVP_PKEY_free> key(
      PEM_read_bio_PrivateKey(Source(key_pem).get(), nullptr, no_password, nullptr));
  if (key == nullptr) {
    return fault(Contains(key_pem, "BEGIN CERTIFICATE")
                     ? "found a certificate rather than a key in the PEM for the private key"
                     : "failed to find any PEM data in key input");
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return fault("private key does not match public key");
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::optional<api::TlsIdentity>> LoadTls(const Config& config) {
  if (config.tls_cert.empty() && config.tls_key.empty()) {
    return std::optional<api::TlsIdentity>();
  }
  if (config.tls_cert.empty() || config.tls_key.empty()) {
    return InvalidArgumentError("you must specify key and cert file if one is specified");
  }
  api::TlsIdentity identity;
  ASSIGN_OR_RETURN(identity.certificate,
                   ReadPem(config.tls_cert, "could not load server key pair"));
  ASSIGN_OR_RETURN(identity.key, ReadPem(config.tls_key, "could not load server key pair"));
  RETURN_IF_ERROR(CheckPair(identity.certificate, identity.key));
  if (!config.tls_ca.empty()) {
    ASSIGN_OR_RETURN(identity.client_ca, ReadPem(config.tls_ca, "could not read ca certificate"));
    if (!Contains(identity.client_ca, "BEGIN CERTIFICATE")) {
      return InvalidArgumentError("failed to append ca cert");
    }
  }
  return std::optional<api::TlsIdentity>(std::move(identity));
}

}  // namespace kiln::buildkitd
