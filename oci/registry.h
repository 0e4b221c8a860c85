// Registry: OCI distribution, as a client: resolve, fetch, push.
//
// Picks hosts (mirrors, then the registry), schemes and credentials, follows redirects
// and tries again after passing failures. Bytes are not checked here: whoever stores a
// blob compares it with its digest.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "oci/descriptor.h"
#include "oci/http_client.h"
#include "oci/reference.h"

namespace kiln::oci {

// One [registry."host"] of the configuration.
struct RegistryHost {
  std::vector<std::string> mirrors = {};  // "host[:port][/path]"
  std::optional<bool> http = {};          // unset: plain HTTP on loopback only
  std::optional<bool> insecure = {};
  std::vector<std::string> ca = {};
  std::vector<std::pair<std::string, std::string>> key_pairs = {};  // certificate, key
};
using RegistryHosts = std::map<std::string, RegistryHost>;

struct TokenQuery {
  std::string host, realm, service;
  std::vector<std::string> scopes;
};
struct RegistryToken {
  std::string token;
  int64_t expires_in = 0;  // seconds, 0: unknown
};
struct RegistryLogin {
  std::string username, secret;  // no username: the secret is a refresh token
};

// Who asks. Thread-safe; calls may go to a client and block.
class RegistryAuth {
 public:
  virtual ~RegistryAuth() = default;
  virtual StatusOr<RegistryLogin> Login(const std::string& host) = 0;  // empty: anonymous
  // UNIMPLEMENTED: the registry client asks for the token itself, with Login.
  virtual StatusOr<RegistryToken> FetchToken(const TokenQuery& query) = 0;
  // Tokens are shared between requests of equal identity.
  virtual std::string identity() const = 0;
};

struct RegistryCall {
  Reference ref;
  std::shared_ptr<RegistryAuth> auth = {};  // null: anonymous
  bool insecure = false;                    // as if http and insecure were configured
  std::stop_token stop = {};
};

// Thread-safe, blocking.
class Registry {
 public:
  explicit Registry(RegistryHosts hosts);
  ~Registry();

  // Manifest or index behind the reference. NOT_FOUND "<ref>: not found".
  StatusOr<Descriptor> Resolve(const RegistryCall& call);
  // Bytes of a blob or manifest from `offset` on; the server may lie about them.
  StatusOr<std::unique_ptr<HttpResponse>> Open(const RegistryCall& call, const Descriptor& blob,
                                               int64_t offset = 0);
  // `length` bytes of a blob from `offset` on, not checked either. Waits for no transfer: who
  // has one may need this to end it. UNIMPLEMENTED if the registry serves no ranges.
  StatusOr<std::string> ReadRange(const RegistryCall& call, const Descriptor& blob,
                                  uint64_t offset, uint64_t length);

  // What names the manifest `subject` as its own, by the registry's list or, where it keeps
  // none, by the index that clients keep in its place. None is no error.
  StatusOr<std::vector<Descriptor>> Referrers(const RegistryCall& call, const Digest& subject);

  // `bytes` is asked for once per try. Nothing is sent if the registry has the blob, or may
  // take it from its repository `from`, a path ("": there is none).
  Status PushBlob(const RegistryCall& call, const Descriptor& blob,
                  const std::function<StatusOr<ReadFn>()>& bytes, const std::string& from = {});
  // Under the reference's tag, or its digest without a tag.
  Status PushManifest(const RegistryCall& call, const Descriptor& manifest,
                      std::string_view bytes);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace kiln::oci
