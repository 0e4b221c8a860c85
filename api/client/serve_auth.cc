// Auth: registry credentials of the user, told to the daemon on demand, or kept here
// while the client fetches the tokens itself.
#include <grpcpp/server_context.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <cstdlib>
#include <mutex>
#include <set>

#include "api/client/attachments.h"
#include "api/client/docker_config.h"
#include "api/client/token_fetch.h"
#include "api/client/token_seeds.h"
#include "api/proto/session/auth.grpc.pb.h"
#include "api/tunnel/error_stack.h"
#include "base/strings.h"

namespace kiln::api {
namespace {

namespace filesync = ::moby::filesync::v1;

constexpr int64_t kUsualLife = 60;  // seconds, of a token that does not say
constexpr size_t kKeyBytes = 32;
constexpr size_t kSignatureBytes = 64;

using PkeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

// The key by which a daemon recognises this user at a registry: Ed25519 from the seed and
// the daemon's salt. All clients without credentials have the same.
StatusOr<PkeyPtr> AuthorityKey(const std::string& host, const std::string& salt) {
  bool off = false;
  const char* switched = std::getenv("BUILDKIT_NO_CLIENT_TOKEN");
  if (switched != nullptr && ParseBool(switched, &off) && off) {
    return UnavailableError("client side tokens disabled");
  }
  ASSIGN_OR_RETURN(DockerCredentials credentials, CredentialsFor(host));
  ASSIGN_OR_RETURN(std::string seed, TokenSeed(host));
  if (credentials.secret.empty()) seed.clear();
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned length = 0;
  HMAC(EVP_sha256(), salt.data(), static_cast<int>(salt.size()),
       reinterpret_cast<const unsigned char*>(seed.data()), seed.size(), sum.data(), &length);
  PkeyPtr key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, sum.data(), kKeyBytes),
              EVP_PKEY_free);
  if (key == nullptr) return InternalError("no key from seed");
  return key;
}

// NaCl's form: the signature, then what was signed.
std::string Signed(EVP_PKEY& key, const std::string& payload) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free);
  std::string out(kSignatureBytes, '\0');
  size_t length = out.size();
  EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, &key);
  EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &length,
                 reinterpret_cast<const unsigned char*>(payload.data()), payload.size());
  return out + payload;
}

class AuthService final : public filesync::Auth::Service {
 public:
  explicit AuthService(AuthOptions options) : options_(std::move(options)) {}

  grpc::Status Credentials(grpc::ServerContext*, const filesync::CredentialsRequest* request,
                           filesync::CredentialsResponse* response) override {
    std::lock_guard lock(mutex_);  // helpers do not like company
    StatusOr<DockerCredentials> credentials = CredentialsFor(request->host());
    if (!credentials.ok()) return ToGrpcWithStack(credentials.status());
    response->set_username(credentials->username);
    response->set_secret(credentials->secret);
    if (!credentials->secret.empty()) {
      Tell(StrCat("[auth] sharing credentials for ", request->host()));
    }
    return grpc::Status::OK;
  }

  grpc::Status FetchToken(grpc::ServerContext*, const filesync::FetchTokenRequest* request,
                          filesync::FetchTokenResponse* response) override {
    StatusOr<FetchedToken> token = Fetch(*request);
    if (!token.ok()) return ToGrpcWithStack(token.status());
    response->set_token(token->token);
    response->set_expiresin(token->expires_in == 0 ? kUsualLife : token->expires_in);
    response->set_issuedat(token->issued_at);
    return grpc::Status::OK;
  }

  grpc::Status GetTokenAuthority(grpc::ServerContext*,
                                 const filesync::GetTokenAuthorityRequest* request,
                                 filesync::GetTokenAuthorityResponse* response) override {
    std::lock_guard lock(mutex_);
    StatusOr<PkeyPtr> key = AuthorityKey(request->host(), request->salt());
    if (!key.ok()) return ToGrpcWithStack(key.status());
    std::string half(kKeyBytes, '\0');
    size_t length = half.size();
    EVP_PKEY_get_raw_public_key(key->get(), reinterpret_cast<unsigned char*>(half.data()),
                                &length);
    response->set_publickey(half);
    return grpc::Status::OK;
  }

  grpc::Status VerifyTokenAuthority(grpc::ServerContext*,
                                    const filesync::VerifyTokenAuthorityRequest* request,
                                    filesync::VerifyTokenAuthorityResponse* response) override {
    std::lock_guard lock(mutex_);
    StatusOr<PkeyPtr> key = AuthorityKey(request->host(), request->salt());
    if (!key.ok()) return ToGrpcWithStack(key.status());
    response->set_signed_(Signed(**key, request->payload()));
    return grpc::Status::OK;
  }

 private:
  StatusOr<FetchedToken> Fetch(const filesync::FetchTokenRequest& request) {
    TokenQuery query{request.realm(), request.service(), {}};
    query.scopes.assign(request.scopes().begin(), request.scopes().end());
    DockerCredentials credentials;
    {
      std::lock_guard lock(mutex_);
      ASSIGN_OR_RETURN(credentials, CredentialsFor(request.host()));
      if (!credentials.registry_token.empty()) return FetchedToken{credentials.registry_token, 0, 0};
      if (!credentials.secret.empty()) {
        std::vector<std::string_view> scopes;
        for (const std::string& scope : query.scopes) {
          scopes.push_back(TrimPrefix(scope, "repository:"));
        }
        Tell(StrCat("[auth] ", StrJoin(scopes, " "), " token for ", request.host()));
      }
    }
    auto tls = options_.tls.find(request.host());
    return api::FetchToken(query, credentials, tls == options_.tls.end() ? AuthTls{} : tls->second);
  }

  // Once per text.
  void Tell(const std::string& name) {
    if (told_.insert(name).second && options_.on_use) options_.on_use(name);
  }

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
