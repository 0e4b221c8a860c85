// Auth: registry credentials of the user, told to the daemon on demand.
#include <grpcpp/server_context.h>

#include <mutex>
#include <set>

#include "api/client/attachments.h"
#include "api/client/docker_config.h"
#include "api/proto/session/auth.grpc.pb.h"
#include "api/tunnel/grpc_status.h"

namespace kiln::api {
namespace {

namespace filesync = ::moby::filesync::v1;

class AuthService final : public filesync::Auth::Service {
 public:
  explicit AuthService(AuthOptions options) : options_(std::move(options)) {}

  grpc::Status Credentials(grpc::ServerContext*, const filesync::CredentialsRequest* request,
                           filesync::CredentialsResponse* response) override {
    std::lock_guard lock(mutex_);  // helpers do not like company
    StatusOr<DockerCredentials> credentials = CredentialsFor(request->host());
    if (!credentials.ok()) return ToGrpc(credentials.status());
    response->set_username(credentials->username);
    response->set_secret(credentials->secret);
    if (!credentials->secret.empty() && told_.insert(request->host()).second && options_.on_use) {
      options_.on_use(StrCat("[auth] sharing credentials for ", request->host()));
    }
    return grpc::Status::OK;
  }

  // Without an authority the daemon fetches tokens itself, with Credentials.
  grpc::Status GetTokenAuthority(grpc::ServerContext*, const filesync::GetTokenAuthorityRequest*,
                                 filesync::GetTokenAuthorityResponse*) override {
    return ToGrpc(UnavailableError("client side tokens disabled"));
  }
  grpc::Status VerifyTokenAuthority(grpc::ServerContext*,
                                    const filesync::VerifyTokenAuthorityRequest*,
                                    filesync::VerifyTokenAuthorityResponse*) override {
    return ToGrpc(UnavailableError("client side tokens disabled"));
  }

 private:
  AuthOptions options_;
  std::mutex mutex_;
  std::set<std::string> told_;
};

}  // namespace

Attachment ServeAuth(AuthOptions options) {
  Attachment attachment{std::make_shared<AuthService>(std::move(options)), {}};
  for (const char* method :
       {"Credentials", "FetchToken", "GetTokenAuthority", "VerifyTokenAuthority"}) {
    attachment.methods.push_back(StrCat("/moby.filesync.v1.Auth/", method));
  }
  return attachment;
}

}  // namespace kiln::api
