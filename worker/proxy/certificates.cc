// X.509 by OpenSSL. Subject, key size, times and extensions are the reference's.
#include "worker/proxy/certificates.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/strings.h"

namespace kiln::worker::proxy {
namespace {

constexpr long kHour = 3600;
constexpr long kAuthorityLife = 10 * 365 * 24 * kHour;
constexpr long kServerLife = 24 * kHour;
constexpr std::chrono::hours kServerUse{23};  // renewed before it ends
constexpr size_t kMaxServers = 1024;
constexpr size_t kMaxCommonName = 64;  // RFC 5280, upper bound of a common name

using Key = std::shared_ptr<EVP_PKEY>;
using Certificate = std::shared_ptr<X509>;

Status OpenSslError(std::string_view what) {
  char text[256] = "unknown error";
  if (unsigned long code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
  return InternalError(StrCat(what, ": ", text));
}

StatusOr<Key> NewKey() {
  Key key(EVP_RSA_gen(2048), EVP_PKEY_free);
  if (key == nullptr) return OpenSslError("make key");
  return key;
}

bool SetSerial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] &= 0x7f;
  std::shared_ptr<BIGNUM> number(BN_bin2bn(bytes, sizeof bytes, nullptr), BN_free);
  return number != nullptr &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool AddExtension(X509* certificate, X509* issuer, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

// The name is no text for OpenSSL to parse: it comes from the step.
bool AddSubjectName(X509* certificate, const std::string& host) {
  unsigned char address[sizeof(in6_addr)];
  int size = 0;
  if (::inet_pton(AF_INET, host.c_str(), address) == 1) size = sizeof(in_addr);
  if (size == 0 && ::inet_pton(AF_INET6, host.c_str(), address) == 1) size = sizeof(in6_addr);
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_STRING* text = ASN1_STRING_type_new(size == 0 ? V_ASN1_IA5STRING : V_ASN1_OCTET_STRING);
  if (size == 0) {
    ASN1_STRING_set(text, host.data(), static_cast<int>(host.size()));
  } else {
    ASN1_STRING_set(text, address, size);
  }
  GENERAL_NAME_set0_value(name, size == 0 ? GEN_DNS : GEN_IPADD, text);
  GENERAL_NAMES* names = sk_GENERAL_NAME_new_null();
  sk_GENERAL_NAME_push(names, name);
  const bool added = X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0,
                                       X509V3_ADD_DEFAULT) == 1;
  GENERAL_NAMES_free(names);
  return added;
}

// A certificate without extensions and signature.
Certificate Blank(const std::string& common_name, EVP_PKEY* key, long seconds) {
  Certificate certificate(X509_new(), X509_free);
  X509* raw = certificate.get();
  if (raw == nullptr || X509_set_version(raw, X509_VERSION_3) != 1 || !SetSerial(raw) ||
      X509_gmtime_adj(X509_getm_notBefore(raw), -kHour) == nullptr ||
      X509_gmtime_adj(X509_getm_notAfter(raw), seconds) == nullptr ||
      X509_set_pubkey(raw, key) != 1) {
    return nullptr;
  }
  const std::string name = common_name.substr(0, kMaxCommonName);
  const auto* bytes = reinterpret_cast<const unsigned char*>(name.data());
  if (X509_NAME_add_entry_by_NID(X509_get_subject_name(raw), NID_commonName, MBSTRING_UTF8, bytes,
                                 static_cast<int>(name.size()), -1, 0) != 1) {
    return nullptr;
  }
  return certificate;
}

StatusOr<Certificate> NewAuthority(EVP_PKEY* key) {
  Certificate certificate = Blank("BuildKit exec proxy", key, kAuthorityLife);
  X509* raw = certificate.get();
  if (raw == nullptr || X509_set_issuer_name(raw, X509_get_subject_name(raw)) != 1 ||
      !AddExtension(raw, raw, NID_basic_constraints, "critical,CA:TRUE") ||
      !AddExtension(raw, raw, NID_key_usage, "critical,keyCertSign,digitalSignature") ||
      !AddExtension(raw, raw, NID_subject_key_identifier, "hash") ||
      X509_sign(raw, key, EVP_sha256()) == 0) {
    return OpenSslError("make certificate of the proxy");
  }
  return certificate;
}

StatusOr<std::string> ToPem(X509* certificate) {
  std::shared_ptr<BIO> out(BIO_new(BIO_s_mem()), BIO_free);
  if (out == nullptr || PEM_write_bio_X509(out.get(), certificate) != 1) {
    return OpenSslError("write certificate");
  }
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out.get(), &bytes);
  return std::string(bytes, static_cast<size_t>(size));
}

int ChooseHttp1(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in,
                unsigned in_size, void*) {
  static constexpr unsigned char kHttp1[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, size, kHttp1, sizeof kHttp1 - 1, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

StatusOr<std::unique_ptr<CertificateAuthority>> CertificateAuthority::New() {
  std::unique_ptr<CertificateAuthority> made(new CertificateAuthority());
  ASSIGN_OR_RETURN(made->key_, NewKey());
  ASSIGN_OR_RETURN(made->server_key_, NewKey());
  ASSIGN_OR_RETURN(made->certificate_, NewAuthority(made->key_.get()));
  ASSIGN_OR_RETURN(made->pem_, ToPem(made->certificate_.get()));
  return made;
}

StatusOr<std::shared_ptr<SSL_CTX>> CertificateAuthority::Make(const std::string& host) const {
  Certificate certificate = Blank(host, server_key_.get(), kServerLife);
  X509* raw = certificate.get();
  X509* issuer = certificate_.get();
  if (raw == nullptr || X509_set_issuer_name(raw, X509_get_subject_name(issuer)) != 1 ||
      !AddExtension(raw, issuer, NID_key_usage, "critical,digitalSignature,keyEncipherment") ||
      !AddExtension(raw, issuer, NID_ext_key_usage, "serverAuth") ||
      !AddExtension(raw, issuer, NID_authority_key_identifier, "keyid:always") ||
      !AddSubjectName(raw, host) || X509_sign(raw, key_.get(), EVP_sha256()) == 0) {
    return OpenSslError(StrCat("make certificate for ", host));
  }
  std::shared_ptr<SSL_CTX> server(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (server == nullptr || SSL_CTX_use_certificate(server.get(), raw) != 1 ||
      SSL_CTX_use_PrivateKey(server.get(), server_key_.get()) != 1) {
    return OpenSslError(StrCat("use certificate for ", host));
  }
  SSL_CTX_set_alpn_select_cb(server.get(), ChooseHttp1, nullptr);
  return server;
}

StatusOr<std::shared_ptr<SSL_CTX>> CertificateAuthority::ServerFor(const std::string& host) {
  std::lock_guard lock(mutex_);
  auto known = by_host_.find(host);
  if (known != by_host_.end()) {
    if (Clock::now() < known->second->expires) {
      entries_.splice(entries_.begin(), entries_, known->second);
      return known->second->server;
    }
    entries_.erase(known->second);
    by_host_.erase(known);
  }
  ASSIGN_OR_RETURN(std::shared_ptr<SSL_CTX> server, Make(host));
  entries_.push_front({host, server, Clock::now() + kServerUse});
  by_host_[host] = entries_.begin();
  if (entries_.size() > kMaxServers) {
    by_host_.erase(entries_.back().host);
    entries_.pop_back();
  }
  return server;
}

}  // namespace kiln::worker::proxy
