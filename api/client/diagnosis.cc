// A connection of its own: TLS handshake if asked for, HTTP/2's preface, first frame.
#include "api/client/diagnosis.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>

#include "base/strings.h"
#include "base/url.h"
#include "oci/tls_text.h"

namespace kiln::api {
namespace {

constexpr timeval kPatience{3, 0};
constexpr timeval kFirstLook{0, 300'000};
// The client's preface with an empty SETTINGS frame.
constexpr std::string_view kPreface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
constexpr size_t kFrameHeader = 9;
constexpr size_t kMostFrame = 16384;

Status Fault(std::string_view text) {
  return UnavailableError(StrCat("connection error: desc = \"", text, "\""));
}

// OpenSSL writes to closed sockets with the signal that ends programs.
class QuietPipe {
 public:
  QuietPipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~QuietPipe() {
    timespec now{};
    while (sigtimedwait(&pipe_, nullptr, &now) > 0) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_{}, before_{};
};

// The other end asks for a certificate. As in Go, one that it would not take is not shown
// at all; `none` says that there is nothing to show.
int KeepAcceptable(SSL* ssl, void* none) {
  const STACK_OF(X509_NAME)* wanted = SSL_get0_peer_CA_list(ssl);
  const X509* own = SSL_get_certificate(ssl);
  *static_cast<bool*>(none) = own == nullptr;
  if (own == nullptr || wanted == nullptr || sk_X509_NAME_num(wanted) == 0) return 1;
  for (int i = 0; i < sk_X509_NAME_num(wanted); ++i) {
    if (X509_NAME_cmp(X509_get_issuer_name(own), sk_X509_NAME_value(wanted, i)) == 0) return 1;
  }
  SSL_certs_clear(ssl);
  *static_cast<bool*>(none) = true;
  return 1;
}

// Bytes in and out, with or without TLS. One thread.
class Wire {
 public:
  explicit Wire(UniqueFd fd) : fd_(std::move(fd)) {}
  ~Wire() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  Wire(const Wire&) = delete;

  Status Handshake(const ConnectionOptions& options) {
    context_ = SSL_CTX_new(TLS_client_method());
    if (!options.ca_cert.empty()) {
      SSL_CTX_load_verify_locations(context_, options.ca_cert.c_str(), nullptr);
    } else {
      SSL_CTX_set_default_verify_paths(context_);
    }
    if (!options.cert.empty()) {
      SSL_CTX_use_certificate_chain_file(context_, options.cert.c_str());
      SSL_CTX_use_PrivateKey_file(context_, options.key.c_str(), SSL_FILETYPE_PEM);
    }
    SSL_CTX_set_cert_cb(context_, KeepAcceptable, &no_certificate_);
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
    static constexpr unsigned char kH2[] = {2, 'h', '2'};
    SSL_CTX_set_alpn_protos(context_, kH2, sizeof kH2);
    ssl_ = SSL_new(context_);
    SSL_set_app_data(ssl_, this);
    SSL_set_info_callback(ssl_, [](const SSL* ssl, int where, int value) {
      if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT) {
        static_cast<Wire*>(SSL_get_app_data(ssl))->alert_ = value & 0xff;
      }
    });
    SSL_set1_host(ssl_, options.server_name.c_str());
    SSL_set_tlsext_host_name(ssl_, options.server_name.c_str());
    SSL_set_fd(ssl_, fd_.get());
    if (SSL_connect(ssl_) == 1) return OkStatus();
    ERR_clear_error();
    std::string reason = Reason();
    if (long verify = SSL_get_verify_result(ssl_); alert_ == 0 && verify != X509_V_OK) {
      reason = StrCat("tls: failed to verify certificate: ", oci::CertificateFault(verify));
    }
    return Fault(StrCat("transport: authentication handshake failed: ", reason));
  }

  void Write(std::string_view bytes) {
    if (ssl_ != nullptr) {
      SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
    } else {
      ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
  }
  // Fewer bytes at the end or after the time limit.
  std::string Read(size_t count) {
    std::string out;
    std::array<char, kFrameHeader> piece{};
    while (out.size() < count) {
      auto room = static_cast<int>(count - out.size());
      ssize_t n = ssl_ != nullptr ? SSL_read(ssl_, piece.data(), room)
                                  : ::recv(fd_.get(), piece.data(), static_cast<size_t>(room), 0);
      if (n <= 0) {
        waited_ = ssl_ == nullptr ? n < 0 : SSL_get_error(ssl_, static_cast<int>(n)) == SSL_ERROR_WANT_READ;
        break;
      }
      out.append(piece.data(), static_cast<size_t>(n));
    }
    ERR_clear_error();
    return out;
  }
  // How long a read waits.
  void Wait(timeval limit) {
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    waited_ = false;
  }
  bool waited() const { return waited_; }
  std::string Reason() const {
    if (alert_ != 0) return oci::AlertText(alert_);
    // Some servers hang up without saying what they miss.
    constexpr int kCertificateRequired = 116;
    return no_certificate_ ? oci::AlertText(kCertificateRequired) : "EOF";
  }

 private:
  UniqueFd fd_;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  int alert_ = 0;
  bool no_certificate_ = false;  // asked for one, and there was none
  bool waited_ = false;  // the other end is silent, not gone
};

}  // namespace

Status DiagnoseConnection(const ConnectionOptions& options) {
  StatusOr<Url> url = ParseUrl(options.address);
  if (!url.ok() || (url->scheme != "unix" && url->scheme != "tcp")) return OkStatus();
  bool tls = !options.ca_cert.empty() || !options.cert.empty() || !options.key.empty();
  std::string path = StrCat(url->host, url->path, url->opaque);
  StatusOr<UniqueFd> fd = DialSocket(url->scheme, url->scheme == "tcp" ? url->host : path);
  if (!fd.ok()) return Fault(StrCat("transport: Error while dialing: ", fd.status().message()));
  ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);  // handshake
  ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  QuietPipe quiet;
  Wire wire(*std::move(fd));
  if (tls) RETURN_IF_ERROR(wire.Handshake(options));
  // An alert that is on its way would be lost if we wrote to a socket that is closed.
  wire.Wait(kFirstLook);
  std::string header = wire.Read(kFrameHeader);
  if (wire.waited() && header.empty()) {
    wire.Wait(kPatience);
    wire.Write(kPreface);
    header = wire.Read(kFrameHeader);
  }
  if (wire.waited()) return OkStatus();
  if (header.size() < kFrameHeader) {
    return Fault(StrCat("error reading server preface: ", wire.Reason()));
  }
  auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(header[i])); };
  if ((byte(0) << 16 | byte(1) << 8 | byte(2)) > kMostFrame) {
    return Fault("error reading server preface: http2: frame too large");
  }
  return OkStatus();
}

}  // namespace kiln::api
