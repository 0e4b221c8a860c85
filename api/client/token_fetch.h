// Registry tokens, fetched by the client so that its credentials stay with it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/client/attachments.h"
#include "api/client/docker_config.h"
#include "base/status.h"

namespace kiln::api {

struct TokenQuery {
  std::string realm;
  std::string service;
  std::vector<std::string> scopes;
};
struct FetchedToken {
  std::string token;
  int64_t expires_in = 0;  // seconds; 0: not said
  int64_t issued_at = 0;   // Unix seconds; 0: not said
};

// Asks the realm: with credentials by OAuth's POST and, where that is not there, by GET;
// without credentials by GET. Errors as the reference's. Blocks.
StatusOr<FetchedToken> FetchToken(const TokenQuery& query, const DockerCredentials& credentials,
                                  const AuthTls& tls);

}  // namespace kiln::api
