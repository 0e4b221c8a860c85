// See connection.h.
#include "api/client/connection.h"

#include <fcntl.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/security/credentials.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "api/client/diagnosis.h"
#include "api/client/dial_command.h"
#include "api/tunnel/session_headers.h"
#include "base/file.h"
#include "base/url.h"

namespace kiln::api {
namespace {

StatusOr<UniqueFd> DialUnix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return UnknownError(StrCat("dial unix ", path, ": connect: invalid argument"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid() ||
      ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return UnknownError(StrCat("dial unix ", path, ": connect: ", ErrnoText(errno)));
  }
  return fd;
}

StatusOr<UniqueFd> DialTcp(const std::string& address) {
  size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return UnknownError(StrCat("dial tcp: address ", address, ": missing port in address"));
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (::getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &hints, &list) != 0) {
    return UnknownError(StrCat("dial tcp: lookup ", host, ": no such host"));
  }
  UniqueFd fd;
  int error = ECONNREFUSED;
  for (addrinfo* it = list; it != nullptr; it = it->ai_next) {
    UniqueFd attempt(::socket(it->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (attempt.valid() && ::connect(attempt.get(), it->ai_addr, it->ai_addrlen) == 0) {
      fd = std::move(attempt);
      break;
    }
    error = errno;
  }
  ::freeaddrinfo(list);
  if (fd.valid()) return fd;
  return UnknownError(StrCat("dial tcp ", address, ": connect: ", ErrnoText(error)));
}

grpc::ChannelArguments ChannelArgs(const std::string& authority) {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(kMaxMessageBytes);
  args.SetMaxSendMessageSize(kMaxMessageBytes);
  // Failures carry Dockerfiles and definitions as details; 8 KiB is the library's limit.
  args.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMaxMessageBytes);
  if (!authority.empty()) args.SetString(GRPC_ARG_DEFAULT_AUTHORITY, authority);
  return args;
}

Status DialFailure(const Status& status) {
  return UnavailableError(StrCat("connection error: desc = \"transport: Error while dialing: ",
                                 status.message(), "\""));
}

}  // namespace

StatusOr<UniqueFd> DialSocket(const std::string& network, const std::string& address) {
  return network == "unix" ? DialUnix(address) : DialTcp(address);
}

Connection::~Connection() = default;

Status Connection::Diagnose() {
  std::call_once(diagnosed_, [this] { diagnosis_ = DiagnoseConnection(options_); });
  return diagnosis_;
}

Status Connection::OpenTls(const ConnectionOptions& options, const std::string& target) {
  grpc::SslCredentialsOptions tls;
  if (!options.ca_cert.empty()) {
    StatusOr<std::string> ca = ReadFile(options.ca_cert);
    if (!ca.ok()) return Annotate(ca.status(), "could not read ca certificate");
    if (!Contains(*ca, "-----BEGIN CERTIFICATE-----")) {
      return UnknownError("failed to append ca certs");
    }
    tls.pem_root_certs = *ca;
  }
  if (!options.cert.empty() || !options.key.empty()) {
    StatusOr<std::string> cert = ReadFile(options.cert);
    if (!cert.ok()) return Annotate(cert.status(), "could not read certificate/key");
    StatusOr<std::string> key = ReadFile(options.key);
    if (!key.ok()) return Annotate(key.status(), "could not read certificate/key");
    tls.pem_cert_chain = *cert;
    tls.pem_private_key = *key;
  }
  grpc::ChannelArguments args = ChannelArgs(options.server_name);
  args.SetSslTargetNameOverride(options.server_name);
  channel_ = grpc::CreateCustomChannel(target, grpc::SslCredentials(tls), args);
  return OkStatus();
}

StatusOr<std::unique_ptr<Connection>> Connection::Open(const ConnectionOptions& options) {
  std::unique_ptr<Connection> connection(new Connection());
  connection->options_ = options;
  ASSIGN_OR_RETURN(Url url, ParseUrl(options.address));
  ASSIGN_OR_RETURN(std::optional<std::vector<std::string>> command, DialCommand(url));
  bool tls = !options.ca_cert.empty() || !options.cert.empty() || !options.key.empty();
  std::string target = url.scheme == "tcp" ? url.host : options.address;
  StatusOr<UniqueFd> fd = UniqueFd();
  if (command.has_value()) {
    fd = StartDialCommand(*command);
  } else if (url.scheme == "unix" || url.scheme == "tcp") {
    if (tls) {
      RETURN_IF_ERROR(connection->OpenTls(options, target));
    }
    std::string path = StrCat(url.host, url.path, url.opaque);
    fd = DialSocket(url.scheme, url.scheme == "tcp" ? url.host : path);
  } else {
    fd = UnknownError(StrCat("dial tcp: address ", options.address, ": too many colons in address"));
  }
  if (!fd.ok()) {
    connection->failure_ = DialFailure(fd.status());
    connection->channel_ = grpc::CreateChannel("unix:/dev/null", grpc::InsecureChannelCredentials());
    return connection;
  }
  if (connection->channel_ != nullptr) return connection;
  ::fcntl(fd->get(), F_SETFL, ::fcntl(fd->get(), F_GETFL) | O_NONBLOCK);
  connection->channel_ = grpc::CreateCustomInsecureChannelFromFd(
      "localhost", fd->Release(), ChannelArgs(url.host.empty() ? "localhost" : url.host));
  return connection;
}

}  // namespace kiln::api
