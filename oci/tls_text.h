// Faults of TLS connections in the words of Go's crypto/tls and crypto/x509, which users
// of the reference know and search for.
#pragma once

#include <string>

namespace kiln::oci {

// Of an X509_V_ERR_… code: "x509: certificate signed by unknown authority".
std::string CertificateFault(long verify_result);
// Of an alert that the peer sent: "remote error: tls: certificate required".
std::string AlertText(int alert);

}  // namespace kiln::oci
