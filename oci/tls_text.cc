// Two tables.
#include "oci/tls_text.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "base/strings.h"

namespace kiln::oci {

std::string CertificateFault(long verify_result) {
  switch (verify_result) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "x509: certificate signed by unknown authority";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "x509: certificate has expired or is not yet valid";
    default: return StrCat("x509: ", X509_verify_cert_error_string(verify_result));
  }
}

std::string AlertText(int alert) {
  constexpr int kCertificateRequired = 116;  // TLS 1.3; OpenSSL 3.0 has no public name for it
  std::string_view name;
  switch (alert) {
    case SSL_AD_HANDSHAKE_FAILURE: name = "handshake failure"; break;
    case SSL_AD_BAD_CERTIFICATE: name = "bad certificate"; break;
    case SSL_AD_UNSUPPORTED_CERTIFICATE: name = "unsupported certificate"; break;
    case SSL_AD_CERTIFICATE_REVOKED: name = "revoked certificate"; break;
    case SSL_AD_CERTIFICATE_EXPIRED: name = "expired certificate"; break;
    case SSL_AD_CERTIFICATE_UNKNOWN: name = "unknown certificate"; break;
    case SSL_AD_UNKNOWN_CA: name = "unknown certificate authority"; break;
    case SSL_AD_ACCESS_DENIED: name = "access denied"; break;
    case SSL_AD_DECRYPT_ERROR: name = "error decrypting message"; break;
    case SSL_AD_PROTOCOL_VERSION: name = "protocol version not supported"; break;
    case SSL_AD_INTERNAL_ERROR: name = "internal error"; break;
    case SSL_AD_NO_APPLICATION_PROTOCOL: name = "no application protocol"; break;
    case kCertificateRequired: name = "certificate required"; break;
    default: return StrCat("remote error: tls: alert(", alert, ")");
  }
  return StrCat("remote error: tls: ", name);
}

}  // namespace kiln::oci
