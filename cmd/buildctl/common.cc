// See common.h.
#include "cmd/buildctl/common.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

#include "api/tunnel/error_stack.h"
#include "base/file.h"
#include "base/log.h"
#include "base/url.h"

namespace kiln::buildctl {
namespace {

StatusOr<std::string> OneOf(const std::string& dir, const char* either, const char* other) {
  for (const char* name : {either, other}) {
    std::string path = JoinPath(dir, name);
    struct stat st{};
    if (::stat(path.c_str(), &st) == 0) return path;
    if (errno != ENOENT) return ErrnoStatus(errno, StrCat("stat ", path));
  }
  return UnknownError(
      StrCat("directory did not contain one of the needed files: ", either, " or ", other));
}

}  // namespace

StatusOr<std::unique_ptr<api::Client>> Connect(const Invocation& call) {
  api::ConnectionOptions options;
  options.address = call.Text("addr");
  options.server_name = call.Text("tlsservername");
  if (options.server_name.empty()) {
    ASSIGN_OR_RETURN(Url url, ParseUrl(options.address));
    options.server_name = url.HostName();
  }
  options.ca_cert = call.Text("tlscacert");
  options.cert = call.Text("tlscert");
  options.key = call.Text("tlskey");
  std::string dir = call.Text("tlsdir");
  if (!dir.empty()) {
    if (!options.ca_cert.empty() || !options.cert.empty() || !options.key.empty()) {
      return UnknownError(
          "cannot specify tlsdir and tlscacert/tlscert/tlskey at the same time");
    }
    ASSIGN_OR_RETURN(options.ca_cert, OneOf(dir, "ca.pem", "ca.crt"));
    ASSIGN_OR_RETURN(options.cert, OneOf(dir, "cert.pem", "tls.crt"));
    ASSIGN_OR_RETURN(options.key, OneOf(dir, "key.pem", "tls.key"));
  }
  std::chrono::seconds wait{};
  if (call.Bool("wait")) {
    int64_t limit = call.Int("timeout");
    wait = std::chrono::seconds(limit > 0 ? limit : 86400 * 365);
  }
  return api::Client::Dial(options, wait);
}

void PrintFailure(const Status& status) {
  std::string text = StrCat(SourceExcerpts(status), "error: ", status.message(), "\n");
  if (log::Enabled(log::Level::kDebug)) text += api::StackText(api::WithStack(status));
  std::fwrite(text.data(), 1, text.size(), stderr);  // it may hold zero bytes
}

}  // namespace kiln::buildctl
